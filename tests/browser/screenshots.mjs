// Pictures of the pages for the documentation: `EVERFOLD_PROGRAM=target/release/everfold EVERFOLD_CHROMIUM=… node
// screenshots.mjs ../../docs/pictures`, after `npm ci`. Each page in both themes: NAME.png and NAME-dark.png.

import { spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { Everfold, until } from "./everfold.mjs";
import { closeBrowser, visit } from "./pages.mjs";

const into = process.argv[2] ?? "../../docs/pictures";
fs.mkdirSync(into, { recursive: true });

const everfold = await Everfold.start(undefined, { demo: true });
const ends = [];
const test = { after: (end) => ends.push(end) };
try {
  await everfold.pipelines("greet", "release", "many", "agentic", "stuck", "task");
  const waits = (view) => ["waiting", "blocked"].includes(view.status);
  const ids = {};
  for (const [name, pipeline, input, title] of [
    ["ada", "greet", { name: "Ada" }, "Greet Ada"],
    ["r1", "release", { version: "2.1.0" }, "Release 2.1.0"],
    ["r2", "release", { version: "2.2.0", broken: true }, "Release 2.2.0"],
    ["many", "many", { count: 60 }, "Sixty parts"],
    ["agent", "agentic", { task: "Write Roman numerals" }, "Roman numerals"],
    ["stuck", "stuck", {}, "Cannot reach the host"],
    ["r3", "release", { version: "2.3.0", slow: 600 }, "Release 2.3.0"],
  ]) ids[name] = await everfold.start(pipeline, input, title);
  await Promise.all(["ada", "r1", "agent", "stuck", "r3"].map((name) => everfold.run(ids[name], waits)));
  await everfold.run(ids.many, (view) => view.status === "succeeded");
  await everfold.run(ids.r2, (view) => view.status === "failed");
  const tasks = (await everfold.rest("GET /inbox")).items;
  const task = (run) => encodeURIComponent(tasks.find((one) => JSON.stringify(one).includes(run)).id);
  await everfold.rest(`POST /inbox/${task(ids.r3)}`, { decision: "approve" });
  const items = { "ET-018": "nowhere", "ET-019": "nowhere", "ET-020": "development", "ET-021": "development", "ET-022": "review", "ET-023": "testing", "ET-017": "nowhere" };
  const titles = ["Write numbers as Roman numerals", "Import tracks from GPX files", "Dark mode", "Refuse uploads without a name", "Read numbers that are too large", "Names in other scripts", "Sort by length"];
  for (const [at, [item, stop]] of Object.entries(items).entries()) {
    const id = await everfold.start("task", { item, stop }, titles[at]);
    await everfold.run(id, waits);
    if (at === 0) continue;
    const { items: open } = await everfold.rest("GET /inbox?limit=100");
    const decision = at === 1 ? { decision: "reject", comment: "Which sizes of files are to be read?" } : { decision: "approve" };
    await everfold.rest(`POST /inbox/${encodeURIComponent(open.find((one) => JSON.stringify(one).includes(id)).id)}`, decision);
    const isThere = { development: (view) => view.steps.some((step) => step.id === "developer" && step.status === "running"), nowhere: (view) => waits(view) || view.status === "succeeded" };
    await everfold.run(id, isThere[stop] ?? ((view) => view.status === "blocked"));
  }
  const { items: [delivery] } = await everfold.rest("GET /runs?pipeline=delivery");
  const of = `/runs/${delivery.short_id}`;
  const pages = {
    board: "/", table: "/runs", tasks: "/orch", run: of, step: `${of}?step=develop`, debugger: `${of}/debug?version=1&find=verdict%3Dfail`,
    gates: `${of}/gates`, artefacts: `${of}/artefacts`, log: `/runs/${ids.agent}/log?step=develop&round=1&attempt=1`,
    inbox: `/inbox/${task(ids.ada)}`, audit: "/audit", pipeline: "/pipelines/release", start: "/pipelines/greet/start",
    fork: `${of}/act/fork?version=20`, spend: "/spend", system: "/system",
  };
  await take(everfold, pages);
  const orch = await orchAtItsApproval();
  const { items: [first] } = await orch.rest("GET /runs?pipeline=orch");
  const { items: [approval] } = await orch.rest("GET /inbox");
  await take(orch, { orch: "/orch" }, 320);
  await take(orch, { "orch-run": `/runs/${first.short_id}`, "orch-approval": `/inbox/${encodeURIComponent(approval.id)}` });
} finally {
  for (const end of ends) await end();
  await closeBrowser();
  await everfold.end();
}

/** Takes a picture of each page in both themes, so many pixels high. */
async function take(everfold, pages, height = 800) {
  for (const theme of ["light", "dark"]) {
    const page = await visit(test, everfold, { theme, width: 1280 });
    await page.setViewportSize({ width: 1280, height });
    for (const [name, address] of Object.entries(pages)) {
      await page.goto(address, { waitUntil: "load" });
      await until("its fonts are there", () => page.evaluate(() => document.fonts.status === "loaded"));
      const file = path.join(into, `${name}${theme === "dark" ? "-dark" : ""}.png`);
      await page.screenshot({ path: file });
      console.log(file);
    }
  }
}

/** The demo of ORCH where it waits for its owner: the second analysis, after the first was rejected. */
async function orchAtItsApproval() {
  const orch = new Everfold(fs.mkdtempSync(path.join(os.tmpdir(), "everfold-orch-")));
  orch.process = spawn(process.env.EVERFOLD_PROGRAM, ["demo", "orch", "--manual", "--folder", path.join(orch.folder, "demo")], {
    env: { ...process.env, EVERFOLD_USER: "ada" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  ends.push(() => orch.end());
  let played = "";
  orch.process.stdout.on("data", (chunk) => (played += chunk));
  await until("the demo waits for its owner", () => played.includes("It waits for you"), 300_000);
  orch.data = path.join(orch.folder, "demo", "data");
  orch.url = played.match(/http:\/\/127\.0\.0\.1:\d+/)[0];
  orch.token = (await orch.owner("token", "create", "pictures", "--role", "admin", "--json")).token;
  return orch;
}
