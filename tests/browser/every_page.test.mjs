// Every page, in both themes, at the width of a phone and of a screen: no complaint of the browser, none of axe, nothing beside the
// window. And every text that people, agents and files bring is shown as text.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Everfold } from "./everfold.mjs";
import { axe, closeBrowser, complainedOfNothing, look, scrollsSideways, visit } from "./pages.mjs";

/** What does harm where a page takes it for anything but text: markup, an early end of an attribute, marks that turn the
 *  direction of writing, escapes of a terminal, a template's own words. */
const HOSTILE = `<script>document.title="taken"</script>"><img src=x onerror="document.title='taken'">' \u202Eevil\u202C \u001b[31mred\u001b[0m \${7*7} {{7*7}} javascript:alert(1)`;

let everfold;
let ids;

before(async () => {
  everfold = await Everfold.start();
  await everfold.pipelines("greet", "release", "many", "agentic", "stuck", "parent");
  ids = {
    asked: await everfold.start("greet", { name: "Ada" }, HOSTILE),
    release: await everfold.start("release", { version: "1.0.0" }, "A release"),
    many: await everfold.start("many", { count: 40 }, "Forty"),
    agent: await everfold.start("agentic", { task: HOSTILE }, "An agent"),
    stuck: await everfold.start("stuck", {}, "Stuck"),
    parent: await everfold.start("parent", {}, "A parent"),
  };
  const waits = (view) => ["waiting", "blocked"].includes(view.status);
  await Promise.all(["asked", "release", "agent", "stuck"].map((name) => everfold.run(ids[name], waits)));
  await everfold.run(ids.many, (view) => view.status === "succeeded");
  await everfold.rest(`POST /runs/${ids.asked}/notes`, { text: HOSTILE });
  await everfold.owner("schedule", "add", "mornings", "greet", "--cron", "0 7 * * 1-5", "-i", "name=Team", "--json");
});
after(async () => {
  await closeBrowser();
  await everfold.end();
});

async function addresses() {
  const task = encodeURIComponent((await everfold.rest("GET /inbox")).items[0].id);
  const run = `/runs/${ids.asked}`;
  return [
    "/", "/?by=stage&pipeline=release", "/?started_after=bogus&status=failed", "/runs", "/runs?status=bogus&columns=run,labels,search", "/find?q=greet", "/nothing-is-here",
    run, `${run}?step=write`, `${run}/events`, `${run}/log?step=write&round=1&attempt=1`, `${run}/gates`,
    `${run}/artefacts`, `${run}/cost`, `${run}/children`, `${run}/definition`, `${run}/debug?version=5`,
    `${run}/compare?from=1&to=5`, `${run}/act/cancel`, `${run}/act/fork?version=3`, `${run}?at=2000-01-01T00:00:00Z`,
    `/runs/${ids.many}`, `/runs/${ids.agent}?step=develop`, `/runs/${ids.agent}/log?step=develop&round=1&attempt=1`,
    `/runs/${ids.stuck}`, `/runs/${ids.parent}/children`,
    "/inbox", `/inbox/${task}`, "/audit", "/audit?since=bogus&verdict=fail", `${run}/events?version=9999`, "/audit/backtest", "/pipelines", "/pipelines/release", "/pipelines/many", "/pipelines/greet/start",
    "/schedules", "/hooks", "/insights", "/insights?since=bogus&at_least=1", "/spend", "/system",
  ];
}

/** Each theme at each width. Of one visit all are looked at: a page is loaded once, and then turned. */
const LOOKS = ["light", "dark"].flatMap((theme) => [1024, 360].map((width) => ({ theme, width })));

test("no page complains, is beside its window or keeps anybody out, in both themes and widths", async (t) => {
  const page = await visit(t, everfold);
  const faults = [];
  for (const address of await addresses()) {
    page.complaints.length = 0;
    const answer = await page.goto(address, { waitUntil: "load" });
    const isRefused = answer.status() >= 400;
    const wantsRefusal = address.startsWith("/nothing") || address.includes("2000-01-01");
    if (isRefused !== wantsRefusal) faults.push(`${address}: ${answer.status()}`);
    const heads = await page.locator("h1").count();
    if (heads !== 1) faults.push(`${address}: ${heads} first headings`);
    assert.notEqual(await page.title(), "taken", address);
    for (const { theme, width } of LOOKS) {
      await look(page, { theme, width });
      const of = `${address}, ${theme}, ${width} px`;
      faults.push(...(await axe(page)).map((text) => `${of}: ${text}`));
      if (await scrollsSideways(page)) faults.push(`${of}: it is wider than its window`);
    }
    // The browser itself tells of an answer that is a refusal.
    const complaints = page.complaints.filter((text) => !(wantsRefusal && text.startsWith("Failed to load resource")));
    faults.push(...complaints.map((text) => `${address}: ${text}`));
  }
  assert.deepEqual(faults, []);
});

test("what users write is text on every page that shows it", async (t) => {
  const page = await visit(t, everfold);
  for (const address of await addresses()) {
    await page.goto(address, { waitUntil: "load" });
    const injected = await page.evaluate(() => ({
      title: document.title,
      images: document.querySelectorAll("img[src='x']").length,
      handlers: [...document.querySelectorAll("*")].filter((e) => [...e.attributes].some((a) => a.name.startsWith("on"))).length,
      links: [...document.querySelectorAll("a[href]")].filter((a) => a.protocol === "javascript:").length,
      inline: document.querySelectorAll("script:not([src])").length,
    }));
    assert.ok(!injected.title.startsWith("taken"), address);
    assert.deepEqual({ ...injected, title: "" }, { title: "", images: 0, handlers: 0, links: 0, inline: 0 }, address);
  }
  page.complaints.length = 0;
  await page.goto(`/runs/${ids.asked}`);
  await page.getByRole("heading", { level: 1 }).getByText("<script>").waitFor();
  complainedOfNothing(page);
});

test("a page of all that is shown weighs less than 150 KiB over the wire", async (t) => {
  const page = await visit(t, everfold);
  const session = await page.context().newCDPSession(page);
  await session.send("Network.enable");
  await session.send("Network.setCacheDisabled", { cacheDisabled: true });
  let bytes = 0;
  session.on("Network.loadingFinished", ({ encodedDataLength }) => (bytes += encodedDataLength));
  const heavy = [];
  for (const address of await addresses()) {
    bytes = 0;
    await page.goto(address, { waitUntil: "load" });
    if (bytes > 150 * 1024) heavy.push(`${address}: ${Math.round(bytes / 1024)} KiB`);
  }
  assert.deepEqual(heavy, []);
});
