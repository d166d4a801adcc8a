// The tabs of a run: logs that are followed and searched, rows that open where the address points, times in the viewer's zone.
import { refresh } from "./live.js";

// Lines that stay on the page while a log is followed.
const LINES_MAX = 5000;
// Keys that scroll, and for how long the page moves for what a person did.
const SCROLL_KEYS = ["ArrowUp", "ArrowDown", "PageUp", "PageDown", "Home", "End", " "];
const MOVE_MS = 1000;
// So near the end is at the end: lines may have come since the page was scrolled there.
const END_PX = 80;
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hour12: false });

function localTimes(root) {
  for (const time of root.querySelectorAll("time[data-clock]")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    const text = clock.format(at);
    if (time.textContent !== text) time.textContent = text;
  }
}

/** Opens what the address points to; a line or an event that is not on the page is asked for. */
function goToHash() {
  const name = location.hash.slice(1);
  if (!name) return;
  const there = document.getElementById(name);
  if (there) {
    if (there.matches(".log-line")) stay();
    there.closest("details")?.setAttribute("open", "");
    there.scrollIntoView({ block: "center" });
    return;
  }
  const line = /^L(\d+)$/.exec(name);
  const version = /^v(\d+)$/.exec(name);
  const address = new URL(location.href);
  if (line && document.querySelector(".log") && !address.searchParams.has("line")) {
    address.searchParams.set("line", line[1]);
    address.searchParams.set("view", "raw");
    address.searchParams.delete("from");
    location.replace(address);
  } else if (version && document.getElementById("event-filters") && !address.searchParams.has("version")) {
    address.search = "";
    address.searchParams.set("version", version[1]);
    location.replace(address);
  }
}

// Choices that stay: times, wrapping.
function remember() {
  for (const box of document.querySelectorAll("input[data-remember]")) {
    const kept = localStorage.getItem(box.dataset.remember);
    if (kept !== null) box.checked = kept === "yes";
    box.addEventListener("change", () => {
      localStorage.setItem(box.dataset.remember, box.checked ? "yes" : "no");
    });
  }
}

/** Who looks at a line is not taken to those that come. */
function stay() {
  const box = document.getElementById("log-follow");
  if (box) box.checked = false;
}

let hits = [];
let hitAt = -1;

function show(step) {
  const count = document.getElementById("log-count");
  hits[hitAt]?.classList.remove("hit-now");
  if (hits.length) {
    hitAt = (hitAt + step + hits.length) % hits.length;
    hits[hitAt].classList.add("hit-now");
    stay();
    hits[hitAt].scrollIntoView({ block: "center" });
  }
  if (count) count.textContent = hits.length ? `${hitAt + 1} of ${hits.length}` : "none here";
}

/** Marks the lines that have a text; those in the page alone. */
function find(text) {
  const wanted = text.trim().toLowerCase();
  for (const line of hits) line.classList.remove("hit", "hit-now");
  hits = [];
  hitAt = -1;
  const count = document.getElementById("log-count");
  if (!wanted) {
    if (count) count.textContent = "";
    return;
  }
  for (const line of document.querySelectorAll(".log .log-line, .transcript > li")) {
    const has = (line.querySelector(".log-text") ?? line).textContent.toLowerCase().includes(wanted);
    if (!has) continue;
    line.classList.add("hit");
    hits.push(line);
  }
  if (count) count.textContent = hits.length ? `${hits.length} here` : "none here";
}

function search() {
  const form = document.getElementById("log-search");
  const field = form?.querySelector("input[type=search]");
  if (!field) return;
  for (const button of form.querySelectorAll("[data-find]")) {
    button.addEventListener("click", () => show(Number(button.dataset.find)));
  }
  let later;
  field.addEventListener("input", () => {
    clearTimeout(later);
    later = setTimeout(() => find(field.value), 120);
  });
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !field.value.trim()) return;
    clearTimeout(later);
    if (!hits.length) find(field.value);
    if (!hits.length) return;
    event.preventDefault();
    show(event.shiftKey ? -1 : 1);
  });
  if (field.value && document.getElementById("log-found") === null) find(field.value);
  // A search through a long log takes a while: it says that it is at work, until its page comes.
  const count = document.getElementById("log-count");
  form.addEventListener("submit", () => {
    if (!field.value.trim() || !count) return;
    count.textContent = "looking through all lines…";
    form.setAttribute("aria-busy", "true");
  });
  window.addEventListener("pageshow", (event) => {
    if (!event.persisted || !form.hasAttribute("aria-busy")) return;
    form.removeAttribute("aria-busy");
    if (count) count.textContent = "";
  });
}

// A stream of lines that comes back by itself behind the last line that came; one connection at a time. Where its lines
// are not shown any more (`take` returns false) it ends.
function lines(address, behind, take, over) {
  let last = behind;
  let pause = 500;
  let source;
  let isOver = false;
  let later;
  const close = () => {
    clearTimeout(later);
    source?.close();
    source = undefined;
  };
  const open = () => {
    close();
    const own = new EventSource(`${address}&behind=${last}`);
    source = own;
    own.addEventListener("line", (event) => {
      if (own !== source) return;
      pause = 500;
      last = Number(event.lastEventId) || last;
      if (take(JSON.parse(event.data)) !== false) return;
      isOver = true;
      close();
    });
    own.addEventListener("over", () => {
      if (own !== source) return;
      isOver = true;
      close();
      over();
    });
    own.addEventListener("error", () => {
      if (own !== source || own.readyState !== EventSource.CLOSED) return;
      later = setTimeout(open, pause);
      pause = Math.min(pause * 2, 15_000);
    });
  };
  open();
  window.addEventListener("pagehide", close);
  // A page that is gone back to may be as it was left.
  window.addEventListener("pageshow", (event) => event.persisted && !isOver && open());
}

/** Puts the lines of an attempt that goes on behind those that are there. */
function followLines() {
  const log = document.querySelector(".log[data-follow]");
  if (!log || log.dataset.following) return;
  log.dataset.following = "yes";
  const box = () => document.getElementById("log-follow");
  const toEnd = () => {
    if (box()?.checked) window.scrollTo(0, document.documentElement.scrollHeight);
  };
  let waiting = [];
  let drawn = 0;
  const draw = () => {
    drawn = 0;
    document.getElementById("log-empty")?.remove();
    log.insertAdjacentHTML("beforeend", waiting.join(""));
    waiting = [];
    while (log.childElementCount > LINES_MAX) log.firstElementChild.remove();
    localTimes(log);
    toEnd();
  };
  lines(log.dataset.follow, log.dataset.last, (line) => {
    if (!log.isConnected) return false;
    waiting.push(line.html);
    drawn ||= requestAnimationFrame(draw);
    return true;
  }, () => refresh());
  // Who scrolls up reads; the end is followed again when it is reached.
  let movedAt = -Infinity;
  const moves = (event) => {
    if (event.type !== "keydown" || SCROLL_KEYS.includes(event.key)) movedAt = performance.now();
    // At once: lines that come meanwhile would scroll to the end again.
    if (event.deltaY < 0 && box()) box().checked = false;
  };
  for (const kind of ["wheel", "touchmove", "pointerdown", "keydown"]) window.addEventListener(kind, moves, { passive: true });
  let former = window.scrollY;
  window.addEventListener("scroll", () => {
    const now = window.scrollY;
    const isUp = now < former;
    const isAtEnd = document.documentElement.scrollHeight - window.innerHeight - now < END_PX;
    former = now;
    // Not what this page itself scrolls: a line that was looked for may be the last one.
    if (!box() || performance.now() - movedAt > MOVE_MS) return;
    if (isUp) box().checked = false;
    else if (isAtEnd) box().checked = true;
  }, { passive: true });
  document.addEventListener("change", (event) => event.target.id === "log-follow" && toEnd());
  toEnd();
}

/** Fetches a transcript anew while its agent writes. */
function followTranscript() {
  const list = document.querySelector(".transcript[data-refresh]");
  if (!list || followTranscript.is) return;
  followTranscript.is = true;
  let later;
  const soon = () => {
    later ||= setTimeout(() => {
      later = undefined;
      refresh();
    }, 1000);
  };
  lines(list.dataset.refresh, list.dataset.last, soon, () => refresh());
}

/** An address that names a line goes to it, with or without its mark. */
function goToLine() {
  const line = new URLSearchParams(location.search).get("line");
  if (location.hash || !/^\d+$/.test(line ?? "") || !document.getElementById(`L${line}`)) return;
  // The mark is of the page, so that the line is drawn as the one that is meant.
  location.replace(`#L${line}`);
}

localTimes(document);
remember();
search();
goToLine();
goToHash();
followLines();
followTranscript();
window.addEventListener("hashchange", goToHash);
// A page that is fetched anew knows nothing of what was opened here.
const opened = new Map();
document.addEventListener("toggle", (event) => {
  const key = event.target.id || event.target.parentElement?.id;
  if (key && event.target.matches?.("main details")) opened.set(key, event.target.open);
}, true);
document.addEventListener("everfold:refreshed", () => {
  for (const [key, open] of opened) {
    const element = document.getElementById(key);
    const details = element?.matches("details") ? element : element?.querySelector(":scope > details");
    if (details && open) details.open = true;
  }
  localTimes(document);
  followLines();
  followTranscript();
});
