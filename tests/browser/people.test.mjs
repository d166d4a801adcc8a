// Who may do what, two who decide at once, hands that stay on the keys, browsers without scripts.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Everfold } from "./everfold.mjs";
import { closeBrowser, complainedOfNothing, sendBy, theBrowser, visit } from "./pages.mjs";

let everfold;

before(async () => {
  everfold = await Everfold.start();
  await everfold.pipelines("greet", "release");
});
after(async () => {
  await closeBrowser();
  await everfold.end();
});

async function asked(name) {
  const run = await everfold.start("greet", { name }, `Greet ${name}`);
  await everfold.run(run, (view) => view.status === "waiting");
  const task = (await everfold.rest("GET /inbox")).items.find((task) => task.run === run || task.run?.id === run || JSON.stringify(task).includes(run));
  return { run, task: encodeURIComponent(task.id) };
}

test("whoever is not logged in comes back to the page that was asked for", async (t) => {
  const context = await (await theBrowser()).newContext({ baseURL: everfold.url });
  t.after(() => context.close());
  const page = await context.newPage();
  await page.goto("/runs?status=waiting");
  assert.match(page.url(), /\/login\?to=/);
  await page.getByLabel("Token").fill("evf_" + "0".repeat(64));
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("alert").waitFor();
  await page.getByLabel("Token").fill(everfold.token);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.waitForURL(/\/runs\?status=waiting/);
});

test("of two servers on one machine each leaves the browser logged in at the other", async (t) => {
  const other = await Everfold.start(t);
  const page = await visit(t, everfold);
  await page.goto((await other.link()).address);
  await sendBy(page, page.getByRole("button", { name: "Log in" }));
  for (const { url } of [everfold, other, everfold]) {
    await page.goto(`${url}/runs`);
    assert.equal(page.url(), `${url}/runs`);
  }
  complainedOfNothing(page);
});

test("a viewer sees everything and no button that would be refused", async (t) => {
  const { run, task } = await asked("Vi");
  const page = await visit(t, everfold, { role: "viewer" });
  for (const address of ["/", `/runs/${run}`, `/inbox/${task}`, "/pipelines/greet", "/system", "/schedules"]) {
    await page.goto(address);
    assert.equal(await page.locator("main form[method=post]").count(), 0, address);
    assert.equal(await page.locator("main a[href*='/act/']").count(), 0, address);
  }
  await page.goto(`/runs/${run}/act/cancel`);
  await page.locator("#act-refused").getByText(/operator/i).waitFor();
  const refused = await page.evaluate(async (address) => {
    const body = new URLSearchParams({ csrf: "x" });
    return (await fetch(address, { method: "POST", body })).status;
  }, `/runs/${run}/act/cancel`);
  assert.equal(refused, 403);
});

test("of two who decide at once one is taken, and the other sees what was decided", async (t) => {
  const { run, task } = await asked("Two");
  const [ada, bea, cleo] = [await visit(t, everfold), await visit(t, everfold), await visit(t, everfold)];
  // Bea's page hears of no changes: it stays as it was when she came.
  await bea.route(/\/live\?/, (route) => route.abort());
  await Promise.all([ada, bea, cleo].map((page) => page.goto(`/inbox/${task}`)));
  await bea.locator("#comment").fill("no");
  await ada.locator("#approve").click();
  await everfold.run(run, (view) => view.status === "succeeded");
  await bea.locator("#reject").click();
  for (const late of [bea, cleo]) await late.locator("#gone, #refused").getByText(/approved|decided/i).first().waitFor();
  // Her words are kept in one place, also where the page is fetched anew.
  const words = bea.locator("main").getByText("What you wrote, which was not sent");
  assert.equal(await words.count(), 1);
  await bea.evaluate(() => document.dispatchEvent(new CustomEvent("everfold:refreshed")));
  assert.deepEqual([await words.count(), await bea.locator("main .inbox-typed").allInnerTexts()], [1, ["no"]]);
  assert.equal((await everfold.rest(`GET /runs/${run}`)).status, "succeeded");
});

test("a decision needs no mouse", async (t) => {
  const { run } = await asked("Keys");
  const page = await visit(t, everfold);
  await page.goto("/inbox");
  const isOpen = async () => (await page.locator("main h1, main h2").allInnerTexts()).some((text) => text.includes("Send it to Keys?"));
  for (let tries = 0; !(await isOpen()); tries += 1) {
    assert.ok(tries < 50, "j goes through all questions");
    await page.locator("body").press("j");
    await page.waitForLoadState("load");
  }
  await page.locator("body").press("a");
  // The next question opens; what is typed before it stands there would go with the page that is left.
  const next = page.waitForURL((url) => url.searchParams.has("former"));
  await page.keyboard.press("Enter");
  await everfold.run(run, (view) => view.status === "succeeded");
  await next;
  await page.keyboard.press("Control+k");
  await page.keyboard.type("Greet Keys");
  await page.locator("#palette[open]").getByText("Greet Keys").first().waitFor();
  complainedOfNothing(page);
});

test("a held key decides one question, not the next that opens", async (t) => {
  const first = await asked("Held one");
  const second = await asked("Held two");
  const page = await visit(t, everfold);
  await page.goto(`/inbox/${first.task}`);
  await page.keyboard.down("a");
  await page.locator("#inbox-effect").waitFor();
  // The same key again, still down: these are repeats.
  for (let nth = 0; nth < 20; nth += 1) await page.keyboard.down("a");
  await page.goto(`/inbox/${second.task}`);
  await page.keyboard.down("a");
  await page.keyboard.up("a");
  await everfold.run(first.run, (view) => view.status === "succeeded");
  await page.reload();
  await page.locator("#approve").waitFor();
  assert.equal((await everfold.rest(`GET /runs/${second.run}`)).status, "waiting");
  complainedOfNothing(page);
});

test("reading and deciding work without scripts", async (t) => {
  const { run, task } = await asked("Plain");
  const context = await (await theBrowser()).newContext({ baseURL: everfold.url, javaScriptEnabled: false });
  t.after(() => context.close());
  const page = await context.newPage();
  await page.goto((await everfold.link("admin")).address);
  await sendBy(page, page.getByRole("button", { name: "Log in" }));
  await page.goto(`/runs/${run}`);
  await page.getByRole("heading", { name: "Greet Plain" }).waitFor();
  await page.goto(`/inbox/${task}`);
  await sendBy(page, page.locator("#approve"));
  await everfold.run(run, (view) => view.status === "succeeded");
  await page.goto("/find?q=Greet+Plain");
  await page.getByText("Greet Plain").first().waitFor();
});

test("a form of another session does nothing, and says so", async (t) => {
  const { run, task } = await asked("Old");
  const page = await visit(t, everfold, { scripts: false });
  await page.goto(`/inbox/${task}`);
  await page.locator("#decide [name=csrf]").evaluate((field) => (field.value = "0".repeat(64)));
  await page.locator("#approve").click();
  await page.getByText("of another session").first().waitFor();
  assert.equal((await everfold.rest(`GET /runs/${run}`)).status, "waiting");
});

test("who logged in as somebody else meanwhile is told so before a form is sent under that name", async (t) => {
  const { run, task } = await asked("Both");
  const page = await visit(t, everfold);
  await page.goto(`/inbox/${task}`);
  await page.locator("#comment").fill("typed by the first");
  const other = await page.context().newPage();
  const { name, address } = await everfold.link("admin");
  await other.goto(address);
  await sendBy(other, other.getByRole("button", { name: "Log in" }));
  await page.locator("#approve").click();
  await page.locator("#decide .problem").getByText(`You are logged in as ${name} now`).waitFor();
  assert.equal((await everfold.rest(`GET /runs/${run}`)).status, "waiting");
  assert.equal(await page.locator("#comment").inputValue(), "typed by the first");
  await page.locator("#approve").click();
  await everfold.run(run, (view) => view.status === "succeeded");
  const { items } = await everfold.rest(`GET /runs/${run}/audit`);
  assert.deepEqual(items.filter((item) => item.kind === "vote").map((vote) => vote.actor), [`token:${name}`]);
});

test("a page that is fetched anew leaves the focus where it is, in the row of places, too", async (t) => {
  const page = await visit(t, everfold);
  await page.goto("/");
  await page.locator("#places a", { hasText: "Pipelines" }).focus();
  const name = `Beside the focus ${Math.random()}`;
  await everfold.start("greet", { name: "Focus" }, name);
  await page.getByText(name).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Pipelines");
  complainedOfNothing(page);
});
