// How pages are laid out at the width of a phone, a tablet and a screen: nothing moves while they load, nothing lies over
// something else or is cut, and what is chosen is in sight.

import assert from "node:assert/strict";
import http from "node:http";
import { after, before, test } from "node:test";
import { Everfold, until } from "./everfold.mjs";
import { closeBrowser, complainedOfNothing, look, scrollsSideways, visit } from "./pages.mjs";

const WIDTHS = [360, 800, 1400];
const STAGES = ["analysis", "architecture", "development", "code-review", "integration-testing", "deploy-staging", "deploy"];

let everfold;
let ids;

before(async () => {
  everfold = await Everfold.start();
  await everfold.pipelines("greet", "release", "agentic");
  const steps = STAGES.map((stage, at) => `  - { id: s${at}, stage: ${stage}, ${at ? "command: echo done" : "approval: { title: Is it clear? }"} }`);
  await everfold.rest("PUT /pipelines/staged", { definition: `name: staged\nsteps:\n${steps.join("\n")}\n` });
  await everfold.rest("PUT /pipelines/long", {
    definition: "name: long\nsteps:\n  - id: each\n    foreach: { in: \"${input.parts}\", as: part, max_in_flight: 50 }\n    function: everfold.echo\n    with: { part: \"${part}\" }\n",
  });
  ids = {
    asked: await everfold.start("greet", { name: "Ada" }, "Greet Ada"),
    release: await everfold.start("release", { version: "1.0.0" }, "A release"),
    agent: await everfold.start("agentic", { task: "Roman numerals" }, "An agent"),
    staged: await everfold.start("staged", {}, "In its first stage"),
    wide: await everfold.start("greet", { name: "Wide" }, "A title ".repeat(20) + "x".repeat(100)),
    long: await everfold.start("long", { parts: Array.from({ length: 400 }, (_, at) => at) }, "Four hundred parts"),
  };
  await Promise.all(["asked", "release", "agent", "staged", "wide"].map((name) => everfold.run(ids[name], (view) => view.status === "waiting")));
  await everfold.run(ids.long, (view) => view.status === "succeeded");
});
after(async () => {
  await closeBrowser();
  await everfold.end();
});

/** How far parts of a page moved while it loaded, as browsers measure it, and which. */
function shifts(page) {
  return page.evaluate(async () => {
    const entries = [];
    new PerformanceObserver((list) => entries.push(...list.getEntries())).observe({ type: "layout-shift", buffered: true });
    await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(drawn))));
    const own = entries.filter((entry) => !entry.hadRecentInput);
    const parts = own.flatMap((entry) => entry.sources.map(({ node }) => node?.id || node?.className || node?.nodeName));
    return { sum: own.reduce((sum, entry) => sum + entry.value, 0), parts: [...new Set(parts)] };
  });
}

test("nothing moves while a page loads, and none is beside its window, at three widths", async (t) => {
  const page = await visit(t, everfold);
  const tasks = (await everfold.rest("GET /inbox")).items;
  const task = encodeURIComponent(tasks.find((one) => JSON.stringify(one).includes(ids.asked)).id);
  const of = (name) => `/runs/${ids[name]}`;
  const addresses = [
    "/", "/?by=stage", "/runs", "/orch", of("asked"), `${of("agent")}/log?step=develop&round=1&attempt=1`, `${of("asked")}/log?step=write&round=1&attempt=1`,
    `${of("long")}?step=each`, `${of("long")}/debug`, `${of("asked")}/artefacts`, `${of("release")}/compare?from=2&to=12`, `${of("asked")}/compare`, `${of("asked")}/compare?with=${ids.wide}`, of("wide"), `/inbox/${task}`,
    "/audit", "/pipelines", "/pipelines/orch", "/schedules", "/spend", "/system", `/compare?from=-1h`,
  ];
  const faults = [];
  for (const address of addresses) {
    for (const width of WIDTHS) {
      await look(page, { theme: "light", width });
      await page.goto(address, { waitUntil: "load" });
      const { sum, parts } = await shifts(page);
      // 0.1 is what is felt.
      if (sum > 0.005) faults.push(`${address}, ${width} px: ${parts} moved by ${sum.toFixed(4)}`);
      if (await scrollsSideways(page)) faults.push(`${address}, ${width} px: it is wider than its window`);
    }
  }
  assert.deepEqual(faults, []);
  complainedOfNothing(page);
});

/** The address of a proxy before the server that lets half of each page come late, as a slow line does. */
async function halting(t) {
  const proxy = http.createServer((asked, answer) => {
    const isPage = asked.headers.accept?.includes("text/html");
    const headers = isPage ? { ...asked.headers, "accept-encoding": "identity" } : asked.headers;
    const forward = http.request(everfold.url + asked.url, { method: asked.method, headers }, async (given) => {
      answer.writeHead(given.statusCode, given.headers);
      if (!isPage) return given.pipe(answer);
      const text = Buffer.concat(await given.toArray());
      answer.write(text.subarray(0, Math.floor(text.length * 0.6)));
      setTimeout(() => answer.end(text.subarray(Math.floor(text.length * 0.6))), 400);
    });
    forward.on("error", () => answer.destroy());
    answer.on("close", () => forward.destroy());
    forward.end();
  });
  await new Promise((listens) => proxy.listen(0, "127.0.0.1", listens));
  t.after(() => { proxy.closeAllConnections(); proxy.close(); });
  return `http://127.0.0.1:${proxy.address().port}`;
}

test("a page of which half comes late is shown when it is whole, and does not move then", async (t) => {
  const page = await visit(t, everfold);
  const proxy = await halting(t);
  await look(page, { theme: "light", width: 1400 });
  const moved = [];
  for (const address of ["/?by=stage", "/", "/runs", `/runs/${ids.asked}`, "/audit", "/pipelines", "/spend"]) {
    await page.goto(proxy + address, { waitUntil: "load" });
    const { sum, parts } = await shifts(page);
    if (sum > 0.005) moved.push(`${address}: ${parts} moved by ${sum.toFixed(4)}`);
  }
  assert.deepEqual(moved, []);
});

test("no column of tasks cuts the name of its stage, and each is as wide as what it holds", async (t) => {
  const page = await visit(t, everfold);
  for (const width of WIDTHS) {
    await look(page, { theme: "light", width });
    await page.goto("/orch");
    const names = await page.locator(".column-name").evaluateAll((all) => all.map((name) => ({ text: name.textContent, isCut: name.scrollWidth > name.clientWidth })));
    assert.deepEqual(names.filter(({ isCut }) => isCut), [], `${width} px`);
    assert.deepEqual(names.map(({ text }) => text), [...STAGES, "ended"]);
    const hidden = await page.locator("#columns").evaluate((columns) => columns.scrollWidth - columns.clientWidth);
    if (width === 1400) assert.equal(hidden, 0, "all columns are in sight on a screen");
  }
});

test("stages beyond the edge are counted, no column is wider on a smaller screen, and stages that nothing goes along take no room", async (t) => {
  const own = Array.from({ length: 14 }, (_, at) => `of-my-own-${at + 1}`);
  const steps = own.map((stage, at) => `  - { id: s${at}, needs: [], stage: ${stage}, ${at % 2 ? "when: '1 == 2', command: echo" : "approval: { title: Is it clear? }"} }`);
  await everfold.rest("PUT /pipelines/mine", { definition: `name: mine\nlabels: { item: MY-1 }\nsteps:\n${steps.join("\n")}\n` });
  const run = await everfold.start("mine", {}, "Along stages of my own");
  await everfold.run(run, (view) => view.status === "waiting");
  const page = await visit(t, everfold);
  const shown = async (width) => {
    await look(page, { theme: "light", width });
    await page.goto("/orch", { waitUntil: "load" });
    return page.evaluate(() => {
      const place = document.getElementById("columns").getBoundingClientRect();
      const boxes = [...document.querySelectorAll(".column")].map((column) => [column.querySelector(".column-name").textContent, column.getBoundingClientRect(), column.classList.contains("is-empty")]);
      return {
        widths: Object.fromEntries(boxes.map(([name, box]) => [name, box.width])),
        empty: boxes.filter(([, , isEmpty]) => isEmpty).map(([name]) => name),
        beyond: boxes.filter(([, box]) => box.right > place.right + 2).length,
        cut: [...document.querySelectorAll(".column-name, .card p, .card p span")].filter((part) => !part.matches(".unseen") && part.scrollWidth > part.clientWidth + 1 && part.clientWidth > 0).map((part) => part.textContent),
      };
    });
  };
  const [small, large] = [await shown(800), await shown(1400)];
  for (const name of Object.keys(small.widths)) assert.ok(small.widths[name] <= large.widths[name] + 1, `${name}: ${small.widths[name]} px, ${large.widths[name]} px`);
  assert.ok(own.every((name) => name in large.widths), JSON.stringify(large));
  for (const name of large.empty) assert.ok(large.widths[name] < 40, `${name}: ${large.widths[name]} px`);
  assert.deepEqual([small.cut, large.cut], [[], []]);
  await look(page, { theme: "light", width: 800 });
  const button = page.locator("#more-stages");
  await until("the button counts what is beyond the edge", async () => (await button.textContent()) === `${small.beyond} more stages →`);
  for (let clicks = 0; clicks < 9 && /→/.test(await button.textContent()); clicks += 1) {
    const before = await button.textContent();
    await button.click();
    await until("the columns have moved", async () => (await button.textContent()) !== before);
  }
  assert.match(await button.textContent(), /^\d+ more stages? ←$/);
  await everfold.rest(`POST /runs/${run}/cancel`, {});
  await everfold.run(run, (view) => view.status === "cancelled");
  const after = await shown(1400);
  assert.deepEqual(Object.keys(after.widths), [...STAGES, "ended"], "an ended task has no stage any more");
  complainedOfNothing(page);
});

test("the parts of the bar of time do not lie over each other, now and in the past", async (t) => {
  const page = await visit(t, everfold);
  for (const width of WIDTHS) {
    await look(page, { theme: "light", width });
    for (const address of ["/", "/?at=-1m"]) {
      await page.goto(address);
      await until("the bar says where it stands", () => page.locator("#time-text").textContent());
      const over = await page.evaluate(() => {
        const parts = [...document.querySelectorAll(".time-keys > *, .time-line, #time-text, #time-home, .time-spans > *")];
        const boxes = parts.map((part) => ({ name: part.id || part.className || part.textContent, ...part.getBoundingClientRect().toJSON() }))
          .filter(({ width, height }) => width && height);
        const found = [];
        for (const [at, one] of boxes.entries()) {
          for (const other of boxes.slice(at + 1)) {
            const isBeside = one.right <= other.left + 1 || other.right <= one.left + 1 || one.bottom <= other.top + 1 || other.bottom <= one.top + 1;
            if (!isBeside) found.push(`${one.name} and ${other.name}`);
          }
          if (one.right > innerWidth + 1 || one.left < -1) found.push(`${one.name} is outside`);
        }
        return found;
      });
      assert.deepEqual(over, [], `${address}, ${width} px`);
    }
  }
});

test("what is chosen in a list, and where a wide plan begins, is in sight", async (t) => {
  const page = await visit(t, everfold);
  const isInside = (outer, inner) => page.evaluate(([outer, inner]) => {
    const [box, place] = [inner, outer].map((name) => document.querySelector(name).getBoundingClientRect());
    return box.left >= place.left - 1 && box.right <= place.right + 1 && box.top >= place.top - 1 && box.bottom <= place.bottom + 1;
  }, [outer, inner]);
  await look(page, { theme: "light", width: 360 });
  await page.goto(`/runs/${ids.agent}/log?step=review&round=1&attempt=1`, { waitUntil: "load" });
  await until("the chosen attempt is in sight", () => isInside(".log-attempts ol", ".log-attempts [aria-current]"));
  for (const width of WIDTHS) {
    await look(page, { theme: "light", width });
    await page.goto("/pipelines/orch", { waitUntil: "load" });
    await until(`the first step is in sight at ${width} px`, () => isInside("#graph", "#graph .node:not(.standby)"));
  }
  complainedOfNothing(page);
});

test("a long pipeline is read from top to bottom, and a run's skipped steps are folded until they are asked for", async (t) => {
  const steps = Array.from({ length: 16 }, (_, at) =>
    `  - { id: s${at}, ${at % 2 ? "when: '1 == 2', " : ""}command: "true", on_signal: { again: { rework: s${Math.max(0, at - 1)} } }, on_fail: { rework: s${at > 4 ? at - 4 : 0}, max: 2 } }`);
  await everfold.rest("PUT /pipelines/folded", { definition: `name: folded\nsteps:\n${steps.join("\n")}\n` });
  const run = await everfold.start("folded", {}, "Every other step");
  await everfold.run(run, (view) => view.status === "succeeded");
  for (const scripts of [true, false]) {
    const page = await visit(t, everfold, { scripts, width: 1400 });
    await page.goto(`/runs/${run}`, { waitUntil: "load" });
    assert.equal(await page.locator("#graph a.node").count(), 8);
    await page.locator(".graph-steps a").click();
    await page.locator("#node-s1").waitFor();
    assert.equal(await page.locator("#graph a.node").count(), 16);
    const boxes = await page.locator("#graph a.node .box").evaluateAll((all) => all.map((box) => box.getBoundingClientRect().toJSON()));
    for (const [at, box] of boxes.entries()) if (at) assert.ok(box.top > boxes[at - 1].bottom, `step ${at} stands below the former`);
    const { graph, drawn } = await page.locator("#graph").evaluate((graph) => ({ graph: graph.clientWidth, drawn: graph.querySelector("svg").clientWidth }));
    assert.ok(drawn <= graph, `${drawn} px are drawn, ${graph} px are to be seen`);
    complainedOfNothing(page);
  }
});

test("the menu of further actions opens within the page, wherever its button stands", async (t) => {
  const page = await visit(t, everfold);
  for (const width of WIDTHS) {
    for (const run of [ids.asked, ids.wide]) {
      await look(page, { theme: "light", width });
      await page.goto(`/runs/${run}`, { waitUntil: "load" });
      await page.locator("#more-acts summary").click();
      const panel = await page.locator("#more-acts .panel").boundingBox();
      assert.ok(panel.x >= 0 && panel.x + panel.width <= width, `${JSON.stringify(panel)}, ${width} px`);
      assert.ok(!(await scrollsSideways(page)), `${width} px`);
    }
  }
  complainedOfNothing(page);
});

test("the graph of a run lies over nothing else", async (t) => {
  const steps = Array.from({ length: 8 }, (_, at) => Array.from({ length: 8 }, (_, row) =>
    `  - { id: s${row}-${at}, needs: [${at === 0 ? "" : `s${row}-${at - 1}`}], function: everfold.noop }`)).flat();
  await everfold.rest("PUT /pipelines/broad", { definition: `name: broad\nsteps:\n${steps.join("\n")}\n` });
  const run = await everfold.start("broad", {}, "Eight by eight");
  const page = await visit(t, everfold);
  for (const width of WIDTHS) {
    await look(page, { theme: "light", width });
    await page.goto(`/runs/${run}`, { waitUntil: "load" });
    const beyond = await page.evaluate(() => {
      const bottom = (part) => document.querySelector(part).getBoundingClientRect().bottom;
      return bottom(".overview-graph .graph") - bottom(".overview-graph");
    });
    assert.ok(beyond <= 1, `${width} px: ${beyond} px lie over what follows`);
  }
  complainedOfNothing(page);
});

test("names of sixty letters without a place to break make no page wider than a phone", async (t) => {
  const name = (word) => word.repeat(60 / word.length);
  const [pipeline, work, asks, questions, stuck, gate, stage] = ["pipeli", "worker", "asking", "questi", "stuckk", "gategg", "stages"].map(name);
  await everfold.rest(`PUT /pipelines/${pipeline}`, { definition: [
    `name: ${pipeline}`,
    `description: ${name("descri")}`,
    `input: { type: object, properties: { ${name("fields")}: { type: string, default: ${name("values")} } } }`,
    `labels: { ${name("labels")}: ${name("texts")} }`,
    `budget: { id: ${name("budget")}, cost: 5 USD, on_over: pause }`,
    "steps:",
    `  - { id: ${work}, stage: ${stage}, command: 'echo ${name("output").repeat(5)} | tee file', outputs: { ${name("output")}: file },`,
    `      gates: [{ id: ${gate}, file: { exists: file }, on_fail: { rework: ${work} } }] }`,
    `  - { id: ${asks}, approval: { title: ${name("titles")}, roles: [${name("roles")}], show: [${name("shown").repeat(5)}], on_reject: { rework: ${work} } } }`,
    `  - { id: ${questions}, needs: [${work}], question: { title: ${name("titles")}, items: [{ id: ${name("items")}, text: ${name("texts")}, options: [${name("first")}, ${name("other")}] }] } }`,
    `  - { id: ${stuck}, needs: [${work}], command: 'echo ${name("wrong")} >&2; exit 3', on_fail: block }`,
  ].join("\n") });
  const who = await everfold.owner("token", "create", name("actors"), "--role", "admin", "--json");
  const started = await fetch(`${everfold.url}/api/v1/runs`, {
    method: "POST",
    headers: { authorization: `Bearer ${who.token}`, "content-type": "application/json" },
    body: JSON.stringify({ pipeline, title: name("titles") }),
  });
  const { id } = await started.json();
  const other = await everfold.start(pipeline, {}, name("second"));
  const isAsking = (view) => view.awaits.filter(({ step }) => [asks, questions].includes(step)).length === 2;
  for (const run of [id, other]) await everfold.run(run, (view) => view.status === "blocked" && isAsking(view));

  const page = await visit(t, everfold, { width: 360 });
  const run = `/runs/${id}`;
  const { items: decisions } = await everfold.rest(`GET /runs/${id}/audit`);
  const { items: tasks } = await everfold.rest("GET /inbox?limit=100");
  const asked = tasks.filter((task) => JSON.stringify(task).includes(id));
  assert.deepEqual([decisions.length, asked.length], [1, 3]);
  const tabs = ["", `?step=${work}`, `?step=${asks}`, `?step=${stuck}`, "/events", `/log?step=${work}&round=1&attempt=1`, "/gates", "/artefacts", "/cost", "/children",
    "/definition", "/debug", "/debug?version=6", "/debug/replay", "/compare", "/compare?from=2&to=9", `/compare?with=${other}`];
  const acts = ["cancel", "pause", "interrupt", "resume", "retry", "restart", "fork?version=3", "signal", "note", "breakpoints", "budget", "unblock", "recheck"];
  const addresses = [
    ...tabs.map((tab) => run + tab), ...acts.map((act) => `${run}/act/${act}`), ...asked.map((task) => `/inbox/${encodeURIComponent(task.id)}`),
    `/audit?run=${id}`, `/audit/${id}/${decisions[0].version}`, `/audit/backtest?gate=${gate}&policy=evidence.exists`,
    `/pipelines/${pipeline}`, `/pipelines/${pipeline}/start`, `/pipelines/${pipeline}/edit`, "/pipelines", "/start", "/schedules/new",
    "/", `/?by=stage&pipeline=${pipeline}`, "/runs", "/orch", "/spend", "/system", `/find?q=${name("titles")}`,
  ];
  const wide = [];
  for (const address of addresses) {
    const answer = await page.goto(address, { waitUntil: "load" });
    assert.ok(answer.ok(), `${address}: ${answer.status()}`);
    if (await scrollsSideways(page)) wide.push(address);
  }
  assert.deepEqual(wide, []);
  complainedOfNothing(page);
});

test("a text that is cut says the whole of it to the pointer, and one that fits says nothing twice", async (t) => {
  const page = await visit(t, everfold, { width: 360 });
  await page.goto(`/runs/${ids.wide}`, { waitUntil: "load" });
  const heading = page.locator("h1");
  // A page that is fetched anew just then says it when the pointer moves again.
  for (let tries = 0; tries < 100 && await heading.getAttribute("title") === null; tries += 1) {
    await page.mouse.move(0, 0);
    await heading.hover();
    await page.waitForTimeout(100);
  }
  assert.match(await heading.getAttribute("title"), /^A title A title .*x{100}$/);
  await page.goto(`/runs/${ids.asked}`, { waitUntil: "load" });
  await page.locator("h1").hover();
  assert.equal(await page.locator("h1").getAttribute("title"), null);
  complainedOfNothing(page);
});

test("the title of a browser's tab names the page of the run", async (t) => {
  const page = await visit(t, everfold);
  const titles = [];
  for (const tab of ["", "/events", "/log", "/gates", "/artefacts", "/cost", "/children", "/definition", "/debug", "/compare"]) {
    await page.goto(`/runs/${ids.asked}${tab}`);
    titles.push(await page.title());
  }
  assert.equal(new Set(titles).size, titles.length, titles.join("; "));
  assert.match(titles[0], /Greet Ada · [0-9a-f]{8} · Everfold$/);
  assert.match(titles[8], /Greet Ada · Debugger · [0-9a-f]{8} · Everfold$/);
});
