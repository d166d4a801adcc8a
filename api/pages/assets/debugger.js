// Steps through the versions of a run without loading the page anew: the part of a version is fetched once, and its
// neighbours before anybody asks for them. What is shown stands in the address.
import { onKey } from "./keys.js";

const KEPT_MAX = 80;
const AGAIN = 2_000;
const kept = new Map();
const folds = new Map();
let wanted = 0;
let underWay = false;
let pause = 0;
let direction = 1;
/** How often what is kept was dropped: a part that was asked for before may lack events of a live run. */
let dropped = 0;

const root = () => document.getElementById("debugger");
const numbers = (text) => (text ? text.split(" ").map(Number) : []);
const last = () => Number(root().dataset.last);
const current = () => Number(root().dataset.version);

function address(version) {
  const url = new URL(location.href);
  for (const name of ["find", "found", "none", "policy", "part"]) url.searchParams.delete(name);
  // A page that follows its run goes on doing so at the end.
  if (version === last() && document.body.dataset.live !== undefined) url.searchParams.delete("version");
  else url.searchParams.set("version", version);
  return url.pathname + url.search;
}

/** The part of a version, as text; asked for once. */
function part(version) {
  let answer = kept.get(version);
  if (!answer) {
    const url = new URL(address(version), location.href);
    url.searchParams.set("version", version);
    url.searchParams.set("part", "1");
    answer = fetch(url, { headers: { "HX-Request": "true" } }).then((response) => {
      if (!response.ok || response.redirected) throw new Error(response.statusText);
      return response.text();
    });
    answer.catch(() => kept.delete(version));
    kept.set(version, answer);
    if (kept.size > KEPT_MAX) kept.delete(kept.keys().next().value);
  }
  return answer;
}

function decisionFrom(version, step) {
  const decisions = numbers(root().dataset.decisions);
  return step > 0 ? decisions.find((one) => one > version) : decisions.findLast((one) => one < version);
}

function prefetch(version) {
  const ahead = [version + direction, version + 2 * direction, version - direction,
    decisionFrom(version, direction)];
  for (const one of ahead) if (one >= 1 && one <= last()) part(one).catch(() => {});
}

function pointed(id, version) {
  const link = document.getElementById(id);
  if (!link) return;
  if (version >= 1 && version <= last() && version !== current()) {
    link.href = address(version);
    link.removeAttribute("aria-disabled");
  } else {
    link.removeAttribute("href");
    link.setAttribute("aria-disabled", "true");
  }
}

function drawCursor(version) {
  const cursor = document.getElementById("debug-cursor");
  const places = numbers(root().dataset.places);
  const place = places[version - Number(root().dataset.first)];
  if (!cursor || place === undefined) return;
  cursor.setAttribute("x1", place);
  cursor.setAttribute("x2", place);
  document.getElementById("debug-map").setAttribute("aria-label",
    `${last()} events over time; version ${version} is shown`);
}

/** Everything around the part: where the cursor stands and where the links lead. */
function moved(version) {
  root().dataset.version = version;
  document.getElementById("debug-where").textContent = version;
  const slider = document.getElementById("debug-slider");
  if (Number(slider.value) !== version) slider.value = version;
  document.getElementById("debug-find-from").value = version;
  document.getElementById("debug-found-nothing")?.remove();
  drawCursor(version);
  pointed("debug-first", 1);
  pointed("debug-prev-decision", decisionFrom(version, -1));
  pointed("debug-prev", version - 1);
  pointed("debug-next", version + 1);
  pointed("debug-next-decision", decisionFrom(version, 1));
  pointed("debug-last", last());
  history.replaceState(history.state, "", address(version));
}

/** Folds that were opened or closed by hand stay so in the next version. */
function keepFolds() {
  // Only what somebody clicks (a key is a click, too): an open fold that is put in tells of a toggle as well.
  document.addEventListener("click", (event) => {
    const fold = event.target.closest?.("#debug-step summary")?.parentElement;
    if (fold?.dataset.path) folds.set(fold.dataset.path, !fold.open);
  });
}

function put(text, version) {
  const old = document.getElementById("debug-step");
  const focused = old.contains(document.activeElement);
  const inList = document.activeElement?.closest(".debug-events") !== null;
  const fresh = new DOMParser().parseFromString(text, "text/html").getElementById("debug-step");
  if (!fresh) return false;
  for (const fold of fresh.querySelectorAll("details[data-path]")) {
    const open = folds.get(fold.dataset.path);
    if (open !== undefined && fold.classList.contains("is-equal")) fold.open = open;
  }
  old.replaceWith(fresh);
  if (focused && inList) fresh.querySelector(`.debug-events a[data-version="${version}"]`)?.focus();
  document.dispatchEvent(new CustomEvent("everfold:refreshed", { detail: "step" }));
  return true;
}

/** Shows a version. Who holds a key asks faster than answers come: one is under way at a time, then the newest. */
function show(version) {
  const to = Math.min(Math.max(version, 1), last());
  if (!Number.isFinite(to) || to === current()) return;
  direction = to < current() ? -1 : 1;
  wanted = to;
  moved(to);
  fetchWanted();
}

async function fetchWanted() {
  if (underWay || !wanted) return;
  underWay = true;
  try {
    while (wanted) {
      const next = wanted;
      const before = dropped;
      const text = await part(next);
      if (before !== dropped && next >= last()) continue;
      if (wanted === next) wanted = 0;
      if (!put(text, next)) location.assign(address(next));
    }
    clearTimeout(pause);
    pause = setTimeout(() => prefetch(current()), 40);
  } catch (error) {
    // A server that is away is asked again. Else the page itself says what is the matter: the run is gone, or the session
    // is over.
    if (error instanceof TypeError) setTimeout(fetchWanted, AGAIN);
    else location.assign(address(current()));
  } finally {
    underWay = false;
  }
}

function byDecision(step) {
  const to = decisionFrom(current(), step);
  if (to !== undefined) show(to);
}

function act(name) {
  document.querySelector(`#debug-step [data-act="${name}"]`)?.click();
}

function takeClicks() {
  document.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    const map = event.target.closest?.("#debug-map");
    if (map) {
      show(nearest(map, event.clientX));
      return;
    }
    const link = event.target.closest?.("#debugger a[href]");
    const url = link && new URL(link.href);
    const version = url?.pathname === location.pathname && Number(url.searchParams.get("version"));
    if (!version || url.searchParams.has("find") || url.searchParams.has("today")) return;
    event.preventDefault();
    show(version);
  });
}

/** The version that is drawn nearest to a place of the screen. */
function nearest(map, x) {
  const box = map.getBoundingClientRect();
  const at = ((x - box.left) / box.width) * map.viewBox.baseVal.width;
  let best = 0;
  const places = numbers(root().dataset.places);
  places.forEach((place, index) => {
    if (Math.abs(place - at) < Math.abs(places[best] - at)) best = index;
  });
  return Number(root().dataset.first) + best;
}

function takeSlider() {
  document.addEventListener("input", (event) => {
    if (event.target.id === "debug-slider") show(Number(event.target.value));
  });
  document.addEventListener("keydown", (event) => {
    if (event.target.id !== "debug-slider" || !event.shiftKey) return;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    byDecision(step);
  });
}

if (root()) {
  onKey("ArrowLeft", (event) => event.shiftKey ? byDecision(-1) : show(current() - 1));
  onKey("ArrowRight", (event) => event.shiftKey ? byDecision(1) : show(current() + 1));
  onKey("Home", () => show(1));
  onKey("End", () => show(last()));
  onKey("/", () => document.getElementById("debug-find").select());
  onKey("n", () => document.querySelector(".debug-bar .find").requestSubmit());
  for (const name of ["b", "f", "c", "t"]) onKey(name, () => act(name));
  keepFolds();
  takeClicks();
  takeSlider();
  // A live run goes on: what is kept of its last versions may lack later events.
  document.addEventListener("everfold:refreshed", (event) => {
    if (event.detail === "step") return;
    kept.clear();
    dropped += 1;
  });
  prefetch(current());
}
