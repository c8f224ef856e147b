// What the browser tests share: a headless Chromium, waiting, and the accessibility check.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.env.BROWSER_TOOLS, "package.json"));
const { chromium } = require("playwright-core");

/** How long a page may take to show what a test waits for, in milliseconds. */
const PATIENCE = 30_000;

/**
 * Runs `test` with a fresh page and closes the browser whatever happens. The test fails when
 * the page throws an error of its own.
 */
export async function inBrowser(test, options = {}) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
  });
  try {
    const page = await browser.newPage(options);
    page.setDefaultTimeout(PATIENCE);
    const thrown = [];
    page.on("pageerror", (error) => thrown.push(String(error)));
    await test(page);
    assert.deepEqual(thrown, [], "the page threw errors");
  } finally {
    await browser.close();
  }
}

/** Waits until `condition` gives a value that counts as true, and returns it. */
export async function until(what, condition) {
  const end = Date.now() + PATIENCE;
  while (Date.now() < end) {
    const value = await condition();
    if (value) return value;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail(`waited ${PATIENCE} ms in vain until ${what}`);
}

/** Fails with every accessibility rule of axe that the page breaks, and where. */
export async function assertAccessible(page) {
  await page.evaluate(require("axe-core").source);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const told = violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes[0].html}`);
  assert.deepEqual(told, [], "axe found violations");
}
