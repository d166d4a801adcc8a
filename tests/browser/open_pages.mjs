// What open pages cost the server: `EVERFOLD_PROGRAM=target/release/everfold node open_pages.mjs 500`. So many pages hear
// of changes while runs go on; printed are the memory and the time of the processor that they took, and what they heard.
// `… node open_pages.mjs 10000 50 /api/v1/stream`: the same with followers of every event.

import fs from "node:fs";
import http from "node:http";
import { Everfold } from "./everfold.mjs";

const pages = Number(process.argv[2] ?? 500);
const runs = Number(process.argv[3] ?? 200);
const path = process.argv[4] ?? "/live";
const TICK_MS = 10; // of /proc/PID/stat

const everfold = await Everfold.start();
try {
  fs.appendFileSync(`${everfold.data}/everfold.toml`, `\n[serve]\nconnections = ${pages + 64}\nrate = 10000\nburst = 10000\n`);
  await everfold.stop();
  await everfold.serve();
  await everfold.rest("PUT /pipelines/waits", { definition: "name: waits\nsteps:\n  - id: end\n    wait: { for: 1h }\n" });
  const used = () => {
    const stat = fs.readFileSync(`/proc/${everfold.process.pid}/stat`, "utf8").split(") ")[1].split(" ");
    const rss = Number(fs.readFileSync(`/proc/${everfold.process.pid}/status`, "utf8").match(/VmRSS:\s+(\d+)/)[1]);
    return { cpu: (Number(stat[11]) + Number(stat[12])) * TICK_MS, rss };
  };
  const load = async () => {
    const before = used();
    for (let n = 0; n < runs; n += 1) await everfold.start("waits");
    return { cpu: used().cpu - before.cpu, rss: used().rss };
  };
  const alone = await load();
  let heard = 0;
  const openOne = () => new Promise((opened, failed) => {
    const asked = http.get(`${everfold.url}${path}`, { headers: { authorization: `Bearer ${everfold.token}` } }, (answer) => {
      answer.on("data", (chunk) => (heard += String(chunk).split(/^event: (?:change|event)$/m).length - 1));
      answer.once("data", () => opened(asked));
    });
    asked.on("error", failed);
  });
  const open = [];
  while (open.length < pages) {
    // As many at once as a listener lets wait.
    const more = Math.min(100, pages - open.length);
    open.push(...(await Promise.all(Array.from({ length: more }, openOne))));
  }
  const idle = used();
  const beside = await load();
  await new Promise((later) => setTimeout(later, 1_000));
  console.log(JSON.stringify({
    pages, runs,
    memory_mb: Math.round(idle.rss / 1024),
    memory_mb_behind_the_runs: Math.round(used().rss / 1024),
    memory_kb_per_page: Math.round((idle.rss - alone.rss) / pages),
    cpu_ms_per_run: alone.cpu / runs,
    cpu_ms_per_run_with_pages: beside.cpu / runs,
    messages_per_page: heard / pages,
  }, null, 2));
  for (const one of open) one.destroy();
} finally {
  await everfold.end();
}
