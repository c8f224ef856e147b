// The kit itself: what the other browser tests rely on fails when it should.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";

import { assertAccessible, inBrowser, until } from "./browser.mjs";

/** Serves one page of HTML on a free port while `use` runs. */
async function serving(html, use) {
  const server = createServer((_, response) => {
    response.writeHead(200, { "content-type": "text/html" });
    response.end(`<!doctype html><html lang="en"><title>kit</title>${html}</html>`);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await use(`http://127.0.0.1:${server.address().port}/`);
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

test("a page that changes by itself is seen to change", async () => {
  const html = `<main><h1>before</h1></main>
    <script>setTimeout(() => { document.querySelector("h1").textContent = "after" }, 100)</script>`;
  await serving(html, (url) =>
    inBrowser(async (page) => {
      await page.goto(url);
      await until("the heading says after", async () => (await page.textContent("h1")) === "after");
    }),
  );
});

test("an error thrown by the page fails the test", async () => {
  await serving(`<script>throw new Error("broken page")</script>`, async (url) => {
    await assert.rejects(inBrowser((page) => page.goto(url)), /the page threw errors/);
  });
});

test("a page a screen reader cannot read is refused, and one it can is not", async () => {
  await serving(`<main><h1>kit</h1><button>go on</button></main>`, (url) =>
    inBrowser(async (page) => {
      await page.goto(url);
      await assertAccessible(page);
      await page.evaluate(() => { document.querySelector("button").textContent = ""; });
      await assert.rejects(assertAccessible(page), /button-name/);
    }),
  );
});
