// One run from its start in the form to its end, by the pages alone: what people do every day.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Everfold, until } from "./everfold.mjs";
import { closeBrowser, complainedOfNothing, sendBy, visit } from "./pages.mjs";

let everfold;

before(async () => {
  everfold = await Everfold.start();
  await everfold.pipelines("greet", "release", "stuck");
});
after(async () => {
  await closeBrowser();
  await everfold.end();
});

/** Starts greet by its form; the page of its run is shown then. */
async function started(page, name) {
  await page.goto("/pipelines/greet/start");
  await page.getByLabel("Name").first().fill(name);
  await page.getByLabel("Title").fill(`Greet ${name}`);
  await page.getByRole("button", { name: "Start the run" }).click();
  await page.waitForURL(/\/runs\/[0-9a-f-]+/);
  return page.url().match(/\/runs\/([0-9a-f-]+)/)[1];
}

test("a run is started by the form, followed live, sent back with a comment, approved, and ends", async (t) => {
  const page = await visit(t, everfold);
  const run = await started(page, "Ada");
  // Nothing is loaded again by hand: the page follows the run.
  await page.locator("#headline[data-status='waiting']").waitFor();
  await page.goto("/inbox");
  await page.getByRole("link", { name: /Send it to Ada/ }).first().click();
  await page.getByText("Hello, Ada!").first().waitFor();
  await page.locator("#comment").fill("warmer, please");
  await sendBy(page, page.locator("#reject"));
  const again = await everfold.run(run, (view) => view.status === "waiting" && view.steps[0].round === 2);
  assert.equal(again.steps[0].round, 2, "the write step was done again");
  await page.goto("/inbox");
  await page.getByRole("link", { name: /Send it to Ada/ }).first().click();
  await page.getByText("warmer, please").first().waitFor({ state: "attached" });
  await sendBy(page, page.locator("#approve"));
  await everfold.run(run, (view) => view.status === "succeeded");
  await page.goto(`/runs/${run}`);
  await page.locator("#headline[data-status='succeeded']").waitFor();
  await page.goto(`/runs/${run}/gates`);
  await page.getByText("polite").first().waitFor();
  complainedOfNothing(page);
});

test("a wrong input is shown beside its field, and what was typed stays", async (t) => {
  const page = await visit(t, everfold);
  await page.goto("/pipelines/greet/start");
  await page.getByLabel("Name").first().fill("x".repeat(40));
  await page.getByLabel("Title").fill("kept");
  // Past the browser's own look at the fields, as another client would.
  await page.locator("#start").evaluate((form) => {
    form.noValidate = true;
    form.querySelector("[name$='name']").removeAttribute("maxlength");
    form.querySelector("[name$='name']").value = "x".repeat(200);
  });
  await page.getByRole("button", { name: "Start the run" }).click();
  await page.getByRole("alert").filter({ hasText: /\S/ }).first().waitFor();
  assert.equal(await page.getByLabel("Title").inputValue(), "kept");
});

test("a run is cancelled after its page said what that means", async (t) => {
  const page = await visit(t, everfold);
  const run = await started(page, "Bo");
  await everfold.run(run, (view) => view.status === "waiting");
  await page.goto(`/runs/${run}/act/cancel`);
  await page.locator("#act-says").waitFor();
  await page.getByRole("button", { name: /Cancel/ }).click();
  await page.waitForURL((url) => !url.pathname.includes("/act/"));
  await page.locator("#headline[data-status='cancelled']").waitFor();
  complainedOfNothing(page);
});

test("a blocked step is retried from the inbox, and a failed run from its page", async (t) => {
  const page = await visit(t, everfold);
  const run = await everfold.start("stuck", {}, "No way");
  await everfold.run(run, (view) => view.status === "blocked");
  await page.goto("/inbox");
  await page.getByRole("link", { name: /No way/ }).first().click();
  await sendBy(page, page.locator("#retry"));
  await everfold.run(run, (view) => view.status === "blocked" && view.steps[0].attempt >= 2);
  await page.goto("/inbox");
  await page.getByRole("link", { name: /No way/ }).first().click();
  await sendBy(page, page.locator("#fail"));
  await everfold.run(run, (view) => view.status === "failed");
  await page.goto(`/runs/${run}`);
  await page.locator("#headline[data-status='failed']").waitFor();
  await page.goto(`/runs/${run}/act/retry`);
  await page.locator("#act-form button.primary, #act-form button[type=submit]").first().click();
  await page.waitForURL((url) => !url.pathname.includes("/act/"));
  assert.match(page.url(), /\/runs\//);
  complainedOfNothing(page);
});

test("a new run appears on the open board without a jump, and what was opened stays open", async (t) => {
  const page = await visit(t, everfold);
  await page.goto("/");
  await page.locator("details.menu summary").first().click();
  await everfold.start("release", { version: "9.9.9" }, "Seen at once");
  await page.getByText("Seen at once").waitFor();
  assert.ok(await page.locator("details.menu").first().evaluate((menu) => menu.open));
  await until("the tab counts what waits", async () => /^\(\d+\)/.test(await page.title()));
  complainedOfNothing(page);
});

test("an opened row stays where it is read when others come above it", async (t) => {
  await everfold.rest("PUT /pipelines/ok", { definition: "name: ok\nsteps:\n  - { id: ok, approval: { title: Right? } }\n" });
  const decided = async (title) => {
    const run = await everfold.start("ok", {}, title);
    const view = await everfold.run(run, (view) => view.status === "waiting");
    await everfold.rest(`POST /inbox/${encodeURIComponent(view.awaits[0].task)}`, { decision: "approve" });
    await everfold.run(run, (view) => view.status === "succeeded");
  };
  await decided("The first");
  const page = await visit(t, everfold);
  await page.goto("/audit");
  const rows = page.locator("main details");
  await rows.first().locator("summary").click();
  const opened = page.locator("main details[open]").first();
  const top = () => opened.evaluate((row) => Math.round(row.getBoundingClientRect().top));
  const [before, count] = [await top(), await rows.count()];
  assert.equal(await page.evaluate(() => window.scrollY), 0);
  await decided("The second");
  await until("another row is there", async () => (await rows.count()) > count);
  assert.equal(await top(), before);
  complainedOfNothing(page);
});

test("a line of a log that goes on is gone to, and not left for those that come", async (t) => {
  const definition = "name: talks\nsteps:\n  - id: talk\n    command: for n in $(seq 1 3000); do echo line $n; sleep 0.05; done\n";
  await everfold.rest("PUT /pipelines/talks", { definition });
  const run = await everfold.start("talks", {}, "Talks");
  const page = await visit(t, everfold);
  const log = `/runs/${run}/log?step=talk&round=1&attempt=1`;
  await until("it wrote some lines", async () => {
    await page.goto(log);
    return page.locator("#L40").count();
  });
  await page.goto("/");
  await page.goto(`${log}#L5`);
  const last = await page.locator(".log-line").count();
  await until("more lines came", async () => (await page.locator(".log-line").count()) > last + 5);
  const isInSight = await page.locator("#L5").evaluate((line) => {
    const { top, bottom } = line.getBoundingClientRect();
    return top >= 0 && bottom <= innerHeight;
  });
  assert.ok(isInSight, "the page stays at the line that its address names");
  const follows = page.locator("#log-follow");
  assert.equal(await follows.isChecked(), false);
  await page.locator("main h1").first().click();
  await page.keyboard.press("End");
  await until("the end is followed again", () => follows.isChecked());
  await page.mouse.move(500, 400);
  await page.mouse.wheel(0, -400);
  await until("who scrolls up reads", async () => !(await follows.isChecked()));
  await everfold.rest(`POST /runs/${run}/cancel`, { reason: "enough" });
  complainedOfNothing(page);
});
