// Any moment of a run and of the board: the debugger, a fork from it, the bar of time, policies on recorded verdicts.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Everfold, until } from "./everfold.mjs";
import { closeBrowser, complainedOfNothing, visit } from "./pages.mjs";

let everfold;
let run;

before(async () => {
  everfold = await Everfold.start();
  await everfold.pipelines("greet");
  run = await everfold.start("greet", { name: "Ada" }, "A past");
  await everfold.run(run, (view) => view.status === "waiting");
});
after(async () => {
  await closeBrowser();
  await everfold.end();
});

test("the debugger goes through versions by keys, and forks from the one on screen", async (t) => {
  const page = await visit(t, everfold);
  await page.goto(`/runs/${run}/debug?version=3`);
  await page.locator("#debug-step[data-version='3']").waitFor();
  await page.locator("body").press("ArrowRight");
  await page.locator("#debug-step[data-version='4']").waitFor();
  assert.match(page.url(), /version=4/);
  await page.locator("body").press("ArrowLeft");
  await page.locator("#debug-step[data-version='3']").waitFor();
  await page.getByRole("link", { name: /Fork from version 3/ }).click();
  const form = page.locator("#act-form");
  await form.waitFor();
  await form.locator("details:not([open]) > summary").first().click();
  await form.locator("[name='input/name']").fill("Grace");
  await form.getByRole("button", { name: /Fork/ }).click();
  await page.waitForURL((url) => url.pathname.startsWith("/runs/") && !url.pathname.includes(run.slice(-8)));
  const fork = page.url().match(/\/runs\/([0-9a-f-]+)/)[1];
  const view = await everfold.run(fork, (view) => view.status === "waiting");
  assert.equal(view.input.name, "Grace");
  assert.equal(view.origin.at ?? view.origin.version, 3);
  complainedOfNothing(page);
});

test("the bar of time shows the board as it was, and comes back to now", async (t) => {
  const page = await visit(t, everfold);
  await page.goto("/");
  await page.locator(`#run-${run.slice(-8)}`).waitFor();
  const slider = page.locator("#time-slider");
  const card = page.locator(`#run-${run.slice(-8)}`);
  // The bar says where it stands once it takes keys.
  await until("the bar takes keys", () => page.locator("#time-text").textContent());
  await slider.focus();
  // An hour ago there was no run.
  await slider.press("Home");
  await card.waitFor({ state: "detached" });
  await page.locator("#time-home").click();
  await page.locator(`#run-${run.slice(-8)}`).waitFor();
  complainedOfNothing(page);
});

test("a page of the past says so, keeps its moment in links and acts on nothing", async (t) => {
  const page = await visit(t, everfold);
  const { updated_at: at } = await everfold.rest(`GET /runs/${run}`);
  await page.goto(`/runs/${run}?at=${encodeURIComponent(at)}`);
  await page.locator(".band.as-of").waitFor();
  assert.match(await page.getByRole("link", { name: "Board", exact: true }).getAttribute("href"), /at=/);
  assert.equal(await page.locator("a[href*='/act/cancel']").count(), 0);
  await page.goto("/moment?here=%2F&at=-10m");
  assert.match(page.url(), /at=\d{4}-/);
  complainedOfNothing(page);
});

test("a position of the log is a moment on every page, with ages and logs of then", async (t) => {
  const page = await visit(t, everfold);
  const { items } = await everfold.rest(`GET /runs/${run}/events`);
  const asked = items.find((item) => item.event.type === "ApprovalRequested").position;
  const begun = items.find((item) => item.event.type === "AttemptStarted").position;
  for (const end of ["", "/log", "/events", "/gates", "/artefacts", "/cost", "/children", "/definition", "/debug"]) {
    const answer = await page.goto(`/runs/${run}${end}?at=${asked}`);
    assert.equal(answer.status(), 200, end);
    await page.locator(".band.as-of", { hasText: `position ${asked}` }).waitFor();
  }
  // The link into the inbox keeps the position, and what was asked that moment has no age yet.
  await page.getByRole("link", { name: /^Inbox/ }).click();
  assert.match(page.url(), new RegExp(`/inbox/.*[?&]at=${asked}$`));
  const age = page.locator(".inbox-list time, .inbox-nav time, main time[data-age]").first();
  await age.waitFor();
  const { time } = await everfold.rest(`GET /moment?at=${asked}`);
  assert.equal(await age.getAttribute("data-then"), time);
  assert.equal(await age.textContent(), "now");
  // The log shows and gives no line that came later.
  const timesAt = async (moment) => {
    await page.goto(`/runs/${run}/log?step=write&round=1&attempt=1${moment}`);
    return page.locator(".log-at").evaluateAll((times) => times.map((time) => time.dateTime));
  };
  const all = await timesAt("");
  assert.ok(all.length > 0);
  const until = (moment) => all.filter((line) => Date.parse(line) <= Date.parse(moment));
  const { time: begin } = await everfold.rest(`GET /moment?at=${begun}`);
  const then = await timesAt(`&at=${begun}`);
  assert.deepEqual(then, until(begin));
  assert.deepEqual(await timesAt(`&at=${asked}`), until(time));
  const text = async (at) => (await page.request.get(`/runs/${run}/log/text?step=write&round=1&attempt=1&at=${at}`)).text();
  assert.equal((await text(begun)).split("\n").length - 1, then.length);
  assert.match(await text(asked), /line 1: writing/);
  complainedOfNothing(page);
});

test("another policy is tried on recorded verdicts", async (t) => {
  const page = await visit(t, everfold);
  await page.goto("/audit/backtest");
  await page.locator("#backtest [name=gate]").fill("polite");
  await page.locator("#backtest [name=policy]").fill("!evidence.exists");
  await page.getByRole("button", { name: /recorded verdicts/ }).click();
  await page.getByText(/would/).first().waitFor();
  await page.locator("main").getByText(/A past|polite/).first().waitFor();
  complainedOfNothing(page);
});

test("every decision of every run stands on one page, without scripts, too, with who went against a gate", async (t) => {
  await everfold.pipelines("stuck");
  const before = (await everfold.rest("GET /stats")).position;
  const stuck = await everfold.start("stuck", {}, "Stuck and freed");
  await everfold.run(stuck, (view) => view.status === "blocked");
  await everfold.rest(`POST /runs/${stuck}/unblock`, { step: "try", decision: "proceed", reason: "it is known" });
  await everfold.run(stuck, (view) => view.status === "succeeded");
  const page = await visit(t, everfold, { scripts: false });
  await page.goto("/audit");
  const override = page.locator(".audit-list > li.is-override");
  await override.getByText("it is known").waitFor();
  await override.getByText("Stuck and freed").waitFor();
  await page.locator(".audit-list").getByText("polite").first().waitFor();
  await page.locator(".audit-filter [name=kind]").selectOption("override");
  await page.getByRole("button", { name: "Filter" }).click();
  assert.match(page.url(), /kind=override/);
  assert.equal(await page.locator(".audit-list > li").count(), 1);
  const csv = await page.request.get("/audit/export?as=csv&kind=override");
  assert.match(await csv.text(), /,override,,proceed,it is known,.*,true,stuck,Stuck and freed/);
  await page.goto(`/audit?at=${before}`);
  await page.locator(".audit-list > li").first().waitFor();
  assert.equal(await page.locator(".is-override").count(), 0);
  complainedOfNothing(page);
});

test("each time says its exact moment on hover, in the zone of whoever looks", async (t) => {
  const page = await visit(t, everfold, { zone: "Asia/Kathmandu" });
  for (const end of ["", "/log?step=write&round=1&attempt=1", "/events", "/debug?version=4"]) {
    await page.goto(`/runs/${run}${end}`);
    await page.locator("main time").first().waitFor({ state: "attached" });
    const times = await page.locator("main time").evaluateAll((all) => all.map(({ dateTime, title, textContent }) => ({ dateTime, title, textContent })));
    const written = new Intl.DateTimeFormat("en-US", { dateStyle: "medium", timeStyle: "medium", timeZone: "Asia/Kathmandu" });
    const spaced = (text) => text.replace(/\s/g, " ");
    const isExact = ({ dateTime, title, textContent }) => [title, textContent].some((text) => spaced(text).includes(spaced(written.format(new Date(dateTime)))));
    assert.deepEqual(times.filter((time) => !isExact(time)), [], end);
  }
  complainedOfNothing(page);
});
