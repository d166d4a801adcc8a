// Answers that come late: what was asked for before something newer is shown by no page.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Everfold, until } from "./everfold.mjs";
import { closeBrowser, complainedOfNothing, visit } from "./pages.mjs";

let everfold;
let run;

before(async () => {
  everfold = await Everfold.start();
  await everfold.pipelines("greet");
  run = await everfold.start("greet", { name: "Ada" }, "A late one");
  await everfold.run(run, (view) => view.status === "waiting");
});
after(async () => {
  await closeBrowser();
  await everfold.end();
});

/** Holds back the answers of requests for which a condition holds, until they are let go. */
async function hold(page, isHeld) {
  const held = [];
  const gate = { isOpen: false };
  await page.route(() => true, async (route) => {
    const request = route.request();
    if (gate.isOpen || !isHeld(request)) return route.continue();
    const answer = await route.fetch();
    await new Promise((go) => held.push(go));
    // A page that does not wait any more has taken its request back.
    return route.fulfill({ response: answer }).catch(() => {});
  });
  return {
    count: () => held.length,
    /** Lets what is held go, and whatever comes. */
    letGo: () => {
      gate.isOpen = true;
      for (const go of held.splice(0)) go();
    },
  };
}

const isScript = (request) => request.headers()["hx-request"] !== undefined;

test("a refresh that was under way when the slider moved shows now no more", async (t) => {
  const page = await visit(t, everfold);
  await page.goto("/");
  const card = page.locator(`#run-${run.slice(-8)}`);
  await card.waitFor();
  await until("the bar takes keys", () => page.locator("#time-text").textContent());
  const now = (request) => isScript(request) && new URL(request.url()).search === "";
  const held = await hold(page, now);
  await everfold.rest(`POST /runs/${run}/notes`, { text: "something changed" });
  await until("a refresh is under way", () => held.count() > 0);
  await page.locator("#time-slider").press("Home");
  await page.waitForURL(/at=/);
  await card.waitFor({ state: "detached" });
  await page.locator(".band.as-of").waitFor();
  held.letGo();
  // What is asked for after the late answer came is answered after it.
  await page.evaluate(() => fetch("/live", { method: "HEAD" }).catch(() => {}));
  await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
  assert.equal(await card.count(), 0, "the past is shown");
  await page.locator("#time-home").click();
  await card.waitFor();
  await page.locator(".band.as-of").waitFor({ state: "detached" });
  complainedOfNothing(page);
});

test("columns that come after the page of a later moment are dropped", async (t) => {
  const page = await visit(t, everfold);
  await page.goto("/");
  const card = page.locator(`#run-${run.slice(-8)}`);
  await card.waitFor();
  await until("the bar takes keys", () => page.locator("#time-text").textContent());
  const held = await hold(page, (request) => request.url().includes("part=columns"));
  await page.locator("#time-slider").press("Home");
  await until("columns are under way", () => held.count() === 1);
  await page.locator("#time-home").click();
  await page.waitForURL((url) => !url.search.includes("at="));
  await until("the bar is at now", () => page.locator("#time-text").textContent().then((text) => text === "now"));
  await until("the page follows again", () => page.evaluate(() => document.body.dataset.still === undefined));
  held.letGo();
  await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
  await card.waitFor();
  complainedOfNothing(page);
});

test("of two steps that are chosen one after the other the last is shown, whichever answer comes first", async (t) => {
  const page = await visit(t, everfold);
  await page.goto(`/runs/${run}`);
  await page.locator(".time-chart").waitFor();
  const rows = page.locator(".time-row[data-step]");
  const [first, second] = await Promise.all([0, 1].map((at) => rows.nth(at).getAttribute("data-step")));
  const held = await hold(page, (request) => isScript(request) && request.url().includes(`step=${first}`));
  await rows.nth(0).locator("a.time-name").click();
  await until("the first is under way", () => held.count() > 0);
  await rows.nth(1).locator("a.time-name").click();
  const chosen = page.locator(`.time-row.selected[data-step='${second}']`);
  await chosen.waitFor();
  held.letGo();
  await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
  assert.equal(await chosen.count(), 1);
  assert.match(page.url(), new RegExp(`step=${second}`));
  complainedOfNothing(page);
});

test("the palette shows what fits the text that stands in it", async (t) => {
  const page = await visit(t, everfold);
  await page.goto("/");
  const held = await hold(page, (request) => request.url().includes("q=nothing"));
  await page.keyboard.press("Control+k");
  const field = page.locator("#palette-field");
  await field.fill("nothing");
  await until("the first is under way", () => held.count() > 0);
  await field.fill("greet");
  await page.locator("#palette-found").getByText("greet", { exact: true }).first().waitFor();
  held.letGo();
  await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
  await page.locator("#palette-found").getByText("greet", { exact: true }).first().waitFor();
  complainedOfNothing(page);
});
