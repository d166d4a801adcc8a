// A server that is killed under an open page, and comes back.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Everfold } from "./everfold.mjs";
import { closeBrowser, theBrowser, visit } from "./pages.mjs";

after(closeBrowser);

test("an open page says that its server is gone, and misses nothing when it is back", async (t) => {
  const everfold = await Everfold.start(t);
  await everfold.pipelines("greet");
  const run = await everfold.start("greet", { name: "Ada" }, "Outlives it");
  await everfold.run(run, (view) => view.status === "waiting");
  const page = await visit(t, everfold);
  await page.goto(`/runs/${run}`);
  await page.locator("#headline[data-status='waiting']").waitFor();
  await page.evaluate(() => (window.isTheSamePage = true));
  await everfold.kill();
  await page.locator("#lost:visible").waitFor();
  await everfold.serve();
  const { items } = await everfold.rest("GET /inbox");
  await everfold.rest(`POST /inbox/${encodeURIComponent(items[0].id)}`, { decision: "approve", seen: items[0].seen?.digest });
  await page.locator("#headline[data-status='succeeded']").waitFor();
  await page.locator("#lost").waitFor({ state: "hidden" });
  assert.ok(await page.evaluate(() => window.isTheSamePage), "it was not loaded anew");
});

test("a login waits for a server that is away, and goes on when it is back", async (t) => {
  const everfold = await Everfold.start(t);
  const context = await (await theBrowser()).newContext({ baseURL: everfold.url });
  t.after(() => context.close());
  const page = await context.newPage();
  await page.goto("/runs?status=waiting");
  await page.getByLabel("Token").fill(everfold.token);
  await everfold.kill();
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("alert").getByText("The server does not answer").waitFor();
  assert.equal(await page.getByLabel("Token").inputValue(), everfold.token, "it is still there");
  await everfold.serve();
  await page.waitForURL(/\/runs\?status=waiting/);
  await page.locator("header.frame").waitFor();
});

const UNANSWERED = /The server did not answer/;

/** The decisions of people that a run has recorded. */
async function votes(everfold, run) {
  const { items } = await everfold.rest(`GET /runs/${run}/audit`);
  return items.filter((item) => item.kind === "vote");
}

test("a decision that is sent while the server is away stays as it was typed, and counts once when it is sent again", async (t) => {
  const everfold = await Everfold.start(t);
  await everfold.pipelines("greet");
  const run = await everfold.start("greet", { name: "Ada" }, "Decided late");
  await everfold.run(run, (view) => view.status === "waiting");
  const page = await visit(t, everfold);
  await page.goto("/inbox");
  const form = page.locator("#decide");
  await form.locator("#comment").fill("typed before the server went");
  await page.evaluate(() => (window.isTheSamePage = true));
  const key = await form.locator("[name=once]").getAttribute("value");
  await everfold.kill();
  await form.locator("#approve").click();
  await form.locator(".problem").getByText(UNANSWERED).waitFor();
  assert.equal(await form.locator("#comment").inputValue(), "typed before the server went");
  assert.equal(await form.locator("#approve").isEnabled(), true);
  await everfold.serve();
  // The page is fetched again when its stream is back; the form stays, with its key.
  await page.locator("#lost").waitFor({ state: "hidden" });
  assert.equal(await form.locator("[name=once]").getAttribute("value"), key);
  assert.equal(await form.locator("#comment").inputValue(), "typed before the server went");
  assert.ok(await page.evaluate(() => window.isTheSamePage), "it was not loaded anew");
  await form.locator("#approve").click();
  await page.locator("#inbox-effect").waitFor();
  await everfold.run(run, (view) => view.status === "succeeded");
  assert.deepEqual((await votes(everfold, run)).map((vote) => vote.comment), ["typed before the server went"]);
});

test("a decision whose answer was lost is taken once, and a repeat leads where the first would have", async (t) => {
  const everfold = await Everfold.start(t);
  await everfold.pipelines("greet");
  const run = await everfold.start("greet", { name: "Ada" }, "Decided once");
  await everfold.run(run, (view) => view.status === "waiting");
  const page = await visit(t, everfold);
  // Nothing of what happens comes to the page, whose form stands there after it was done.
  await page.route(/\/live\?/, (route) => route.abort());
  await page.goto("/inbox");
  const form = page.locator("#decide");
  await form.locator("#comment").fill("only once");
  let isLost = true;
  await page.route(/\/inbox\//, async (route) => {
    if (route.request().method() !== "POST" || !isLost) return route.continue();
    isLost = false;
    await route.fetch({ maxRedirects: 0 });
    return route.abort("connectionreset");
  });
  await form.locator("#approve").click();
  await form.locator(".problem").getByText(UNANSWERED).waitFor();
  await everfold.run(run, (view) => view.status === "succeeded");
  await form.locator("#approve").click();
  await page.locator("#inbox-effect").waitFor();
  assert.equal((await votes(everfold, run)).length, 1);
});

test("an act and a start that are sent while the server is away stay as they were typed, and are done once", async (t) => {
  const everfold = await Everfold.start(t);
  await everfold.pipelines("greet");
  const run = await everfold.start("greet", { name: "Ada" }, "Cancelled late");
  await everfold.run(run, (view) => view.status === "waiting");
  const [acting, starting] = [await visit(t, everfold), await visit(t, everfold)];
  await acting.goto(`/runs/${run}/act/cancel`);
  const act = acting.locator("#act-form");
  await act.locator("[name=reason]").fill("no longer wanted");
  await starting.goto("/pipelines/greet/start");
  const start = starting.locator("#start");
  await start.locator("[name='input/name']").fill("Grace");
  await everfold.kill();
  await act.locator("[data-submit]").click();
  await start.locator("button.primary").first().click();
  for (const form of [act, start]) await form.locator(".problem").getByText(UNANSWERED).waitFor();
  assert.equal(await act.locator("[name=reason]").inputValue(), "no longer wanted");
  assert.equal(await start.locator("[name='input/name']").inputValue(), "Grace");
  await everfold.serve();
  await act.locator("[data-submit]").click();
  await everfold.run(run, (view) => view.status === "cancelled");
  await start.locator("button.primary").first().click();
  await starting.waitForURL(/\/runs\//);
  const { items } = await everfold.rest("GET /runs");
  assert.deepEqual(items.map((one) => one.id === run).toSorted(), [false, true], "one run was started");
});

test("what a server refuses is shown in the place of the form, with what was typed", async (t) => {
  const everfold = await Everfold.start(t);
  const page = await visit(t, everfold);
  await page.goto("/pipelines/new");
  const form = page.locator("form.edit-form");
  await form.locator("textarea").first().fill("name: broken\nsteps: 7\n");
  await form.locator("button.primary").first().click();
  await page.locator("main .problem, main [aria-invalid=true]").first().waitFor();
  assert.match(await form.locator("textarea").first().inputValue(), /steps: 7/);
});

/** Its form was of another session for ever, and what was typed could not be sent any more. */
test("a form outlives its session: behind a new login it is sent as it was typed", async (t) => {
  const everfold = await Everfold.start(t);
  await everfold.pipelines("greet");
  const run = await everfold.start("greet", { name: "Ada" }, "Decided in two sessions");
  await everfold.run(run, (view) => view.status === "waiting");
  const page = await visit(t, everfold);
  await page.goto("/inbox");
  const form = page.locator("#decide");
  await form.locator("#comment").fill("typed in the former session");
  const cookies = await page.context().cookies();
  await page.context().clearCookies();
  await form.locator("#approve").click();
  await form.locator(".problem").getByText("Your session is over").waitFor();
  const other = await page.context().newPage();
  const { path } = await everfold.owner("token", "link", page.actor, "--json");
  await other.goto(path);
  await other.getByRole("button", { name: "Log in" }).click();
  await other.locator("header.frame").waitFor();
  assert.notDeepEqual(await page.context().cookies(), cookies, "it is another session");
  assert.equal(await form.locator("#comment").inputValue(), "typed in the former session");
  await form.locator("#approve").click();
  await page.locator("#inbox-effect").waitFor();
  await everfold.run(run, (view) => view.status === "succeeded");
  assert.deepEqual((await votes(everfold, run)).map((vote) => vote.comment), ["typed in the former session"]);
});

/** It went to the pipeline's page as if it had been saved, and the comments were gone. */
test("a text of a pipeline that says nothing new stays, and it is said that nothing was saved", async (t) => {
  const everfold = await Everfold.start(t);
  await everfold.pipelines("greet");
  const page = await visit(t, everfold);
  await page.goto("/pipelines/greet/edit");
  const text = page.locator("form.edit-form textarea").first();
  await text.fill(`# a thought\n${await text.inputValue()}`);
  await page.locator("form.edit-form button.primary").first().click();
  await page.locator("main .problem").getByText("Nothing was saved").waitFor();
  assert.match(await text.inputValue(), /^# a thought\n/);
});
