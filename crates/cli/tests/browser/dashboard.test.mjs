// The dashboard against a real controller, a real proxy and two real processes.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { assertAccessible, inBrowser, until } from "./browser.mjs";

const SLUICE = process.env.SLUICE;

/** A port of the loopback address that was free a moment ago. */
async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Runs `sluice` to its end and returns what it printed; fails on another exit code than 0. */
async function sluice(env, ...args) {
  const child = spawn(SLUICE, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  let out = "";
  child.stdout.on("data", (data) => (out += data));
  child.stderr.on("data", (data) => (out += data));
  const code = await new Promise((resolve) => child.on("close", resolve));
  assert.equal(code, 0, `sluice ${args.join(" ")}: ${out}`);
  return out;
}

/** A plan with a first stage long enough to be looked at. */
function plan(listen) {
  return `service: shop
listen: 127.0.0.1:${listen}
run: { command: "${SLUICE} demo-service --build {version} --port {port}" }
health: /health
sticky: { cookie: user_id }
forgive: 1s
stages:
  - { name: half, traffic: 50%, for: 1h, gates: { error_rate: below 5%, p99: below 2s } }
  - { name: all, traffic: 100%, gates: { error_rate: below 5% } }
`;
}

/** A controller with a first release that serves, while `use` runs. */
async function controlling(use) {
  const folder = mkdtempSync(join(tmpdir(), "sluice-browser-"));
  const [api, listen] = [await freePort(), await freePort()];
  const env = { SLUICE_URL: `http://127.0.0.1:${api}`, SLUICE_STATE: join(folder, "state") };
  const file = join(folder, "sluice.yaml");
  writeFileSync(file, plan(listen));
  const up = spawn(SLUICE, ["up", "--state", env.SLUICE_STATE, "--listen", `127.0.0.1:${api}`], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const gone = new Promise((resolve) => up.on("close", resolve));
  try {
    await until("the controller answers", () => answers(api, "/healthz"));
    await sluice(env, "start", file, "--version", "v1", "--detach");
    await until("the first release serves", () => answers(listen, "/"));
    await sluice(env, "start", file, "--version", "v2", "--detach");
    const token = readFileSync(join(env.SLUICE_STATE, "token"), "utf8").trim();
    await use({ url: env.SLUICE_URL, listen, token, env });
  } finally {
    up.kill("SIGTERM");
    await gone;
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Whether a GET is answered with 200. */
function answers(port, path, headers = {}) {
  return new Promise((resolve) => {
    get({ host: "127.0.0.1", port, path, headers }, (answer) => {
      answer.resume();
      answer.on("end", () => resolve(answer.statusCode === 200));
    }).on("error", () => resolve(false));
  });
}

/** Sends requests of many users until told to stop. */
function load(port) {
  let user = 0;
  const timer = setInterval(() => answers(port, "/", { cookie: `user_id=u${user++}` }), 10);
  return () => clearInterval(timer);
}

async function logIn(page, { url, token }) {
  await page.goto(`${url}/rollouts/shop-2`);
  await page.fill("#token", token);
  await page.click("button[type=submit]");
  await page.waitForURL("**/rollouts/shop-2");
}

test("the page updates by itself and the rollback button rolls back", async () => {
  await controlling(async (controller) => {
    await inBrowser(async (page) => {
      await logIn(page, controller);
      const stop = load(controller.listen);
      try {
        // What serves is seen to change without anybody reloading.
        const share = () => page.getAttribute("svg.bar", "aria-label");
        await until("the canary's share shows", async () => (await share()).startsWith("canary"));
        await until("a gate has counted", async () => (await page.textContent(".gate"))?.includes("requests in"));
        await assertAccessible(page);
        await page.keyboard.press("b");
        await page.fill("dialog input", "seen enough");
        await page.click("#confirm");
        await until("it is rolled back", async () => (await page.textContent("h1 .state")) === "rolled back");
        assert.match(await page.textContent("#why"), /seen enough/);
        assert.equal(await page.locator("button[data-action]").count(), 0);
      } finally {
        stop();
      }
    });
  });
});

test("a refused action says why, and the list shows every rollout", async () => {
  await controlling(async (controller) => {
    await inBrowser(
      async (page) => {
        await logIn(page, controller);
        const resume = page.locator("button[data-action=resume]");
        await until("the stage runs", async () => (await page.textContent("h1 .state")) === "running");
        assert.equal(await resume.getAttribute("aria-disabled"), "true");
        assert.match(await page.textContent("#resume-refused"), /only a paused rollout can be resumed/);
        await page.keyboard.press("p");
        await page.click("#refrain");
        assert.equal(await page.textContent("h1 .state"), "running");
        await page.goto(`${controller.url}/`);
        assert.deepEqual(await page.locator("tbody th").allTextContents(), ["shop-2", "shop-1"]);
        await assertAccessible(page);
      },
      { colorScheme: "dark" },
    );
  });
});

test("why an action was refused stays until the next one", async () => {
  await controlling(async (controller) => {
    await inBrowser(async (page) => {
      await logIn(page, controller);
      await until("the stage runs", async () => (await page.textContent("h1 .state")) === "running");
      await page.keyboard.press("p");
      // Somebody else was faster.
      await sluice(controller.env, "rollback", "shop-2");
      await page.click("#confirm");
      await until("it is refused", async () => (await page.textContent("#told")) !== "");
      await until("it is rolled back", async () => (await page.textContent("h1 .state")) === "rolled back");
      assert.match(await page.textContent("#told"), /shop-2 is roll/);
      assert.equal(await page.textContent("#connection"), "");
      await assertAccessible(page);
    });
  });
});

test("a page whose stream was answered with an error goes on by itself", async () => {
  await controlling(async (controller) => {
    await inBrowser(async (page) => {
      // What a gateway in front of a controller that starts would say.
      let asked = 0;
      await page.route("**/stream", (route) => (asked++ < 2 ? route.fulfill({ status: 503 }) : route.continue()));
      await logIn(page, controller);
      await until("the stage runs", async () => (await page.textContent("h1 .state")) === "running");
      await until("the stream is asked for again", async () => asked > 2);
      await sluice(controller.env, "pause", "shop-2");
      await until("the pause shows", async () => (await page.textContent("h1 .state")) === "paused");
    });
  });
});

test("what does not change stays as it is while the rest does", async () => {
  await controlling(async (controller) => {
    await inBrowser(async (page) => {
      await logIn(page, controller);
      const stop = load(controller.listen);
      try {
        const counted = () => page.textContent(".gate");
        await until("a gate has counted", async () => (await counted())?.includes("requests in"));
        const before = await counted();
        await page.evaluate(() => {
          globalThis.notices = document.querySelector("[role=alert]");
          getSelection().selectAllChildren(document.querySelector("h2"));
        });
        const selected = () => page.evaluate(() => String(getSelection()));
        const words = await selected();
        assert.notEqual(words, "");
        await until("it has counted more", async () => (await counted()) !== before);
        assert.equal(await selected(), words);
        assert.ok(await page.evaluate(() => globalThis.notices.isConnected));
      } finally {
        stop();
      }
    });
  });
});
