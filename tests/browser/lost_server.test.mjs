// A server that is killed under an open page, and comes back.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Everfold } from "./everfold.mjs";
import { closeBrowser, visit } from "./pages.mjs";

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
