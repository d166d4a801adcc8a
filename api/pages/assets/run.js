// The overview of a run: what goes on grows, time is zoomed by wheel and drag, and a step is chosen by keys.
import { onKey } from "./keys.js";
import { show } from "./live.js";

const SHORTEST = 100;

function chart() {
  return document.getElementById("time");
}

// The page is as old as that: times are the server's, whatever this machine's clock says.
let received = performance.now();

/** The right end of the time: of what goes on it is now. */
function rightEnd(time) {
  const to = Number(time.dataset.to);
  return time.dataset.grows === undefined ? to : to + performance.now() - received;
}

const ROUND = [
  10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 9e5, 18e5, 36e5, 72e5, 144e5, 216e5, 432e5,
  864e5, 1728e5, 6048e5, 2592e6,
];

/** Marks at round times, in milliseconds since the begin: `axis` of `run/axis.rs`. */
function axis(width) {
  const step = ROUND.find((it) => Math.floor(width / it) <= 6) ?? Math.max(1, Math.floor(width / 4));
  const marks = [];
  for (let at = 0; marks.length < 8 && at / width < 0.95; at += step) marks.push(at);
  return marks;
}

/** A time since the begin: `0`, `500 ms`, `5 s`, `1 h 30 m`; `offset` of `run/axis.rs`. */
function offset(ms) {
  const seconds = Math.floor(ms / 1000);
  const two = (large, name, small, other) => (small ? `${large} ${name} ${small} ${other}` : `${large} ${name}`);
  if (ms === 0) return "0";
  if (ms < 1000) return `${ms} ms`;
  if (ms % 1000) return `${seconds}.${Math.floor(ms % 1000 / 100)} s`;
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return two(Math.floor(seconds / 60), "m", seconds % 60, "s");
  if (seconds < 86400) return two(Math.floor(seconds / 3600), "h", Math.floor(seconds % 3600 / 60), "m");
  return two(Math.floor(seconds / 86400), "d", Math.floor(seconds % 86400 / 3600), "h");
}

/** A duration in at most two units: `words::duration`. */
function duration(ms) {
  const seconds = Math.floor(ms / 1000);
  const padded = (number) => String(number).padStart(2, "0");
  if (ms < 1000) return `${Math.floor(ms)} ms`;
  if (seconds < 10 && ms % 1000 >= 100) return `${seconds}.${Math.floor(ms % 1000 / 100)} s`;
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m ${padded(seconds % 60)} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${padded(Math.floor(seconds % 3600 / 60))} m`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor(seconds % 86400 / 3600)} h`;
}

/** Gives an element as many own parts of a name as there are marks, at the marks' places. */
function place(parent, name, marks, width, put) {
  const parts = [...parent.children].filter((it) => it.localName === name);
  for (const extra of parts.splice(marks.length)) extra.remove();
  while (parts.length < marks.length) {
    const part = document.createElementNS("http://www.w3.org/2000/svg", name);
    if (parts.length) parts.at(-1).after(part);
    else parent.prepend(part);
    parts.push(part);
  }
  marks.forEach((mark, at) => put(parts[at], `${mark / width * 100}%`, mark));
}

/** Draws the axis of a run that is so long by now. */
function drawAxis(time, width) {
  const marks = axis(width);
  place(time.querySelector(".axis > svg"), "text", marks, width, (text, x, mark) => {
    text.setAttribute("x", x);
    text.setAttribute("y", "11");
    if (mark / width > 0.02) text.setAttribute("text-anchor", "middle");
    else text.removeAttribute("text-anchor");
    text.textContent = offset(mark);
  });
  for (const bars of time.querySelectorAll("svg.time-bars")) {
    place(bars, "line", marks, width, (line, x) => {
      for (const [key, value] of Object.entries({ class: "rule", x1: x, x2: x, y1: "0", y2: "34" })) line.setAttribute(key, value);
    });
  }
}

/** Draws what goes on as long as it is by now: the scale shrinks, open bars reach its end, axis and durations follow. */
function grow() {
  const time = chart();
  if (!time || time.dataset.grows === undefined || !time.querySelector(".axis")) return;
  const from = Number(time.dataset.from);
  const to = Number(time.dataset.to);
  const now = rightEnd(time);
  const scale = (to - from) / (now - from);
  for (const part of time.querySelectorAll("svg.scale")) part.setAttribute("width", `${scale * 100}%`);
  for (const bar of time.querySelectorAll("[data-since]")) {
    bar.setAttribute("width", `${Math.max(0, (now - Number(bar.dataset.since)) / (to - from)) * 100}%`);
  }
  for (const text of time.querySelectorAll("[data-ms]")) text.textContent = duration(Number(text.dataset.ms) + now - to);
  drawAxis(time, now - from);
}

/** Shows a part of the time; the address keeps it. An empty one: the whole. */
function zoomTo(from, to) {
  const time = chart();
  const whole = Math.max(Number(time.dataset.whole), rightEnd(time) - Number(time.dataset.begin));
  const address = new URL(location.href);
  const first = Math.max(0, Math.round(from));
  const last = Math.min(whole, Math.round(to));
  if (first === 0 && last >= whole) address.searchParams.delete("zoom");
  else if (last - first < SHORTEST) return;
  else address.searchParams.set("zoom", `${first}-${last}`);
  history.replaceState(history.state, "", address);
  show();
}

/** The time below a pointer, in milliseconds since the run began. */
function timeAt(x, bars) {
  const time = chart();
  const box = bars.getBoundingClientRect();
  const share = Math.min(1, Math.max(0, (x - box.left) / box.width));
  const from = Number(time.dataset.from);
  return from + share * (rightEnd(time) - from) - Number(time.dataset.begin);
}

let turned;
document.addEventListener("wheel", (event) => {
  const bars = event.target.closest?.(".time-bars, .axis");
  if (!bars || !event.ctrlKey) return;
  event.preventDefault();
  if (turned) return;
  turned = setTimeout(() => { turned = undefined; }, 120);
  const time = chart();
  const [from, to] = [Number(time.dataset.from), rightEnd(time)].map((it) => it - Number(time.dataset.begin));
  const at = timeAt(event.clientX, bars.querySelector("svg") ?? bars);
  const factor = event.deltaY < 0 ? 0.5 : 2;
  zoomTo(at - (at - from) * factor, at + (to - at) * factor);
}, { passive: false });

let drag;
document.addEventListener("pointerdown", (event) => {
  const bars = event.target.closest?.("svg.time-bars");
  if (!bars || event.button !== 0 || event.pointerType === "touch" || event.target.closest("a")) return;
  event.preventDefault();
  drag = { bars, x: event.clientX, at: timeAt(event.clientX, bars) };
});
document.addEventListener("pointermove", (event) => {
  if (!drag || Math.abs(event.clientX - drag.x) < 4) return;
  const time = chart();
  drag.mark ??= Object.assign(document.createElement("div"), { className: "time-zooming" });
  if (!drag.mark.isConnected) document.body.append(drag.mark);
  const rows = time.querySelector(".time-rows").getBoundingClientRect();
  const [left, right] = [drag.x, event.clientX].sort((one, other) => one - other);
  Object.assign(drag.mark.style, {
    left: `${left + scrollX}px`, width: `${right - left}px`, top: `${rows.top + scrollY}px`, height: `${rows.height}px`, bottom: "auto",
  });
});
document.addEventListener("pointerup", (event) => {
  if (!drag) return;
  const { bars, at, mark, x } = drag;
  mark?.remove();
  drag = undefined;
  if (Math.abs(event.clientX - x) < 8) return;
  const end = timeAt(event.clientX, bars);
  zoomTo(Math.min(at, end), Math.max(at, end));
});

/** Chooses another step without leaving the place on the page. */
function choose(href) {
  const address = new URL(href, location.href);
  const hash = address.hash;
  address.hash = "";
  history.pushState(null, "", address);
  show().then(() => {
    const panel = hash ? document.querySelector(hash) : null;
    const box = panel?.getBoundingClientRect();
    if (panel && (box.top < 0 || box.top > innerHeight - 120)) panel.scrollIntoView({ block: "nearest" });
  });
}

const CHOICES = ".graph a.node, .time-chart a, .step-panel .panel-close, .tries td:first-child a, .story ol a[href*='step=']";
document.addEventListener("click", (event) => {
  const link = event.target.closest?.(CHOICES);
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  // Links of SVG have an object in `href`.
  choose(link.getAttribute("href"));
});
window.addEventListener("popstate", () => show());

/** The step before or after the chosen one, in the order of the rows. */
function step(by) {
  const rows = [...document.querySelectorAll(".time-row[data-step] > .time-name")];
  const at = rows.findIndex((row) => row.parentElement.classList.contains("selected"));
  const next = rows[at === -1 ? (by > 0 ? 0 : rows.length - 1) : at + by];
  if (next) choose(next.getAttribute("href"));
}
onKey("j", () => step(1));
onKey("k", () => step(-1));
onKey("Escape", () => {
  const close = document.querySelector(".panel-close");
  if (close) choose(close.getAttribute("href"));
});
onKey("d", () => {
  const link = [...document.querySelectorAll(".tabs a")].find((it) => it.getAttribute("href").includes("/debug"));
  if (link) location.assign(link.href);
});

/** Moves the graph, where it is larger than its place, to what is selected or needs somebody, else to where it begins. */
function showInGraph() {
  const graph = document.getElementById("graph");
  const node = [".selected", ".tone-bad", ".tone-blocked", ".tone-waiting", ".tone-running", ".tone-good", ":not(.standby)"]
    .map((kind) => graph?.querySelector(`a.node${kind}`)).find(Boolean);
  if (!node) return;
  const [own, box] = [graph.getBoundingClientRect(), node.getBoundingClientRect()];
  if (box.left < own.left || box.right > own.right) graph.scrollLeft += (box.left + box.right - own.left - own.right) / 2;
  if (box.top < own.top || box.bottom > own.bottom) graph.scrollTop += (box.top + box.bottom - own.top - own.bottom) / 2;
}
showInGraph();

setInterval(grow, 1000);
document.addEventListener("everfold:refreshed", () => {
  received = performance.now();
  grow();
});
