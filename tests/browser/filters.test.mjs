// Filters that cannot be used: they stand where they were typed, with the reason, and take nothing else away.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Everfold } from "./everfold.mjs";
import { axe, closeBrowser, complainedOfNothing, visit } from "./pages.mjs";

let everfold;
let run;

before(async () => {
  everfold = await Everfold.start();
  await everfold.pipelines("greet");
  run = await everfold.start("greet", { name: "Ada" }, "Found all the same");
  await everfold.run(run, (view) => view.status === "waiting");
});
after(async () => {
  await closeBrowser();
  await everfold.end();
});

for (const place of ["/", "/runs"]) {
  test(`a bad part of the filter of ${place} stands in its field beside the runs of the others`, async (t) => {
    const page = await visit(t, everfold);
    await page.goto(`${place}?pipeline=greet`);
    const field = page.locator("#filter-field");
    await field.fill("started:bogus");
    await field.press("Enter");
    await page.locator("#filter-refused").getByText("“bogus” is no time").waitFor();
    assert.equal(await field.inputValue(), "started:bogus");
    assert.equal(await field.getAttribute("aria-invalid"), "true");
    await page.locator(`#run-${run.slice(-8)}`).waitFor();
    await page.locator(".chip").getByText("pipeline: greet").waitFor();
    assert.deepEqual(await axe(page), []);
    await field.fill("started:-1h");
    await field.press("Enter");
    await page.locator(".chip").getByText("started after: -1h").waitFor();
    assert.equal(await page.locator("#filter-refused").count(), 0);
    assert.match(page.url(), /pipeline=greet/);
    complainedOfNothing(page);
  });
}

for (const scripts of [true, false]) {
  test(`a click on a head sorts the table of runs, and another one turns it round, ${scripts ? "with" : "without"} scripts`, async (t) => {
    for (const [name, title] of [["Zoe", "Zebra"], ["Bo", "bear"]]) {
      await everfold.run(await everfold.start("greet", { name }, title), (view) => view.status === "waiting");
    }
    const page = await visit(t, everfold, { scripts });
    await page.goto("/runs?pipeline=greet");
    const titles = async () => [...new Set(await page.locator("td.of-title").allInnerTexts())];
    const sorts = (word) => page.locator(`th[aria-sort=${word}]`).getByRole("link", { name: "Title" }).waitFor();
    await page.getByRole("columnheader", { name: "Title" }).getByRole("link").click();
    await sorts("ascending");
    assert.deepEqual(await titles(), ["bear", "Found all the same", "Zebra"]);
    await page.getByRole("columnheader", { name: "Title" }).getByRole("link").click();
    await sorts("descending");
    assert.deepEqual(await titles(), ["Zebra", "Found all the same", "bear"]);
    assert.match(page.url(), /pipeline=greet.*sort=-title/);
    assert.match(await page.locator("#csv").getAttribute("href"), /sort=-title/);
    await page.getByRole("columnheader", { name: "Took" }).getByRole("link").click();
    await page.locator("th[aria-sort=descending]").getByRole("link", { name: "Took" }).waitFor();
    assert.equal((await titles())[0], "Found all the same");
    await page.setViewportSize({ width: 360, height: 800 });
    await page.locator("#table-sort > summary").click();
    await page.locator("#table-sort").getByRole("link", { name: "Cost" }).click();
    await page.waitForURL(/sort=-cost/);
    complainedOfNothing(page);
  });
}

test("what a route refuses is found among the parts of the filter", async (t) => {
  const page = await visit(t, everfold);
  await page.goto("/runs?parent=zzzz&status=waiting,bogus&number=seven");
  await page.locator(`#run-${run.slice(-8)}`).waitFor();
  assert.equal(await page.locator("#filter-field").inputValue(), "status:bogus");
  await page.goto("/?parent=zzzz&status=waiting");
  await page.locator("#filter-refused").getByText(/no run “zzzz”/).waitFor();
  await page.locator(`#run-${run.slice(-8)}`).waitFor();
  complainedOfNothing(page);
});

test("the audit, the events and the spending keep a filter that is refused", async (t) => {
  const page = await visit(t, everfold);
  await page.goto("/audit?since=bogus&gate=polite");
  await page.locator("#audit-refused").getByText("“bogus” is no day").waitFor();
  assert.equal(await page.locator("[name=since]").inputValue(), "bogus");
  assert.equal(await page.locator("[name=gate]").inputValue(), "polite");
  await page.locator(".audit-list li").first().waitFor();
  await page.goto("/audit?verdict=bogus");
  assert.equal(await page.locator("[name=verdict]").inputValue(), "bogus");
  await page.goto(`/runs/${run}/events?step=bogus`);
  assert.equal(await page.locator("[name=step]").inputValue(), "bogus");
  await page.goto(`/runs/${run}/events?version=9999`);
  await page.getByText("“9999” is no version of this run").waitFor();
  const label = "x".repeat(3_000);
  await page.goto(`/spend?by=label&label=${label}`);
  await page.locator("h1").waitFor();
  complainedOfNothing(page);
});
