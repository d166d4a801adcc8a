// Pages of a real browser, logged in, that fail their test when they complain.

import assert from "node:assert/strict";
import fs from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const AXE = fs.readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
/** The success criteria of WCAG 2.2 AA that axe knows. */
const CRITERIA = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];

let browser;

/** The one browser of this process. */
export async function theBrowser() {
  browser ??= chromium.launch({
    executablePath: process.env.EVERFOLD_CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync"],
  });
  return browser;
}

/** Closes the browser, at the end of a file of tests. */
export async function closeBrowser() {
  await (await browser)?.close();
}

/** A page that is logged in with a role. `page.complaints` gets what the browser's console says. */
export async function visit(t, everfold, { role = "admin", approves = [], theme = "light", width = 1024, scripts = true, zone } = {}) {
  const context = await (await theBrowser()).newContext({
    viewport: { width, height: 900 },
    colorScheme: theme,
    baseURL: everfold.url,
    reducedMotion: "reduce",
    javaScriptEnabled: scripts,
    timezoneId: zone,
    locale: "en-US",
  });
  // A page that does not end fails its test and holds up no other.
  t.after(() => Promise.race([context.close(), new Promise((over) => setTimeout(over, 20_000).unref())]));
  const page = await context.newPage();
  page.complaints = [];
  page.on("console", (said) => {
    if (["error", "warning"].includes(said.type())) page.complaints.push(said.text());
  });
  page.on("pageerror", (error) => page.complaints.push(error.stack ?? error.message));
  page.setDefaultTimeout(30_000);
  const { name, address } = await everfold.link(role, ...approves);
  page.actor = name;
  await page.goto(address);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.waitForURL((url) => url.pathname !== "/login");
  return page;
}

/** Presses what sends a form, and waits for the page that it leads to: who goes elsewhere before would be in its way. */
export async function sendBy(page, button) {
  await page.waitForLoadState("load");
  const loaded = page.waitForEvent("load");
  await button.click();
  await loaded;
}

/** Fails where the page said something in the console. */
export function complainedOfNothing(page) {
  assert.deepEqual(page.complaints, []);
}

/** Turns a page that is loaded to a theme and a width. */
export async function look(page, { theme, width }) {
  await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
  await page.setViewportSize({ width, height: 900 });
  await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
}

/** What axe finds wrong with a page, one line each. */
export async function axe(page) {
  // By the protocol, so that the page's own policy against foreign scripts stays as it is.
  const session = await page.context().newCDPSession(page);
  // A page that is looked at again has it already.
  const expression = `if (!window.axe) { ${AXE} };axe.run(document, { runOnly: ${JSON.stringify(CRITERIA)} }).then((r) => JSON.stringify(r.violations))`;
  const { result, exceptionDetails } = await session.send("Runtime.evaluate", {
    expression, awaitPromise: true, returnByValue: true,
  });
  assert.equal(exceptionDetails, undefined);
  await session.detach();
  const violations = JSON.parse(result.value);
  return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.slice(0, 3).map((n) => `${n.target} (${(n.any[0] ?? n.all[0] ?? n.none[0])?.message})`).join("; ")}`);
}

/** Whether a page is wider than its window. */
export function scrollsSideways(page) {
  return page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth + 1);
}
