// The bar of time: the board as of the moment that its slider stands at. While it is dragged or plays, only the columns
// are fetched, one answer after the other, always for the newest wish. When it rests, the address names the moment, and
// the whole page is of it.
import { onKey } from "./keys.js";
import { hold, release, showIcon } from "./live.js";
import { age, writeTimes } from "./times.js";

const MARKS_PAUSE = 10_000;
const TICK = 250;

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
const byDayAndClock = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit" });

const element = (id) => document.getElementById(id);
const bar = () => element("time-bar");
const slider = () => element("time-slider");
const number = (name) => Number(bar().dataset[name]);

/** What the board is asked to tell in `travel`. */
let told;
/** The moment that the page shows, in milliseconds; null: now. */
let at = null;
let wanted;
let isFetching = false;
let playing = null;
let settling = null;
/** Pages of a moment that were put in place, and that were asked for. Columns that were asked for before the last one
 *  came are stale, and so is every page but the one that was asked for last. */
let settles = 0;
let asked = 0;
let marksAt = 0;
let marksAsked = 0;
/** Whether the slider made an entry in the history, and the query of what is shown. */
let hasEntry = false;
let shownQuery = location.search;

function isStill() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}

function text(ms) {
  const isToday = new Date(ms).toDateString() === new Date().toDateString();
  return (isToday ? clock : byDayAndClock).format(new Date(ms));
}

/** Writes where the slider stands, in figures and in words. */
function labelled() {
  const isNow = at === null;
  const ms = isNow ? number("to") : at;
  const time = new Date(ms).toISOString();
  // A position without a known time is named, until the slider leaves it.
  const position = at === number("to") && bar().dataset.position;
  const words = isNow ? "now" : position ? `position ${position}` : `${text(ms)}, ${age(time)} ago`;
  element("time-text").textContent = isNow || position ? words : text(ms);
  slider().setAttribute("aria-valuetext", words);
  slider().title = words;
  bar().toggleAttribute("data-past", !isNow);
  element("time-home").hidden = isNow;
  // The band says the moment, too.
  for (const shown of isNow || position ? [] : document.querySelectorAll(".band.as-of time")) shown.dateTime = time;
  for (const shown of document.querySelectorAll(".band.as-of .as-of-position")) shown.hidden = at !== number("value");
  const ends = number("to") - number("from") > 20 * 3600_000 ? day : clock;
  for (const end of document.querySelectorAll("[data-end]")) {
    end.textContent = end.dataset.end === "to" && bar().hasAttribute("data-ends-now") ? "now" : ends.format(new Date(number(end.dataset.end)));
  }
}

/** The address of this board at a moment. */
function address(ms, more = {}) {
  const query = new URLSearchParams(location.search);
  query.delete("at");
  query.delete("part");
  if (ms !== null) query.set("at", new Date(Math.round(ms)).toISOString());
  for (const [name, value] of Object.entries(more)) query.set(name, value);
  const text = query.toString();
  return location.pathname + (text ? `?${text}` : "");
}

/** Where each card stands on the screen, and in which column. */
function places() {
  const places = new Map();
  for (const card of document.querySelectorAll(".card")) {
    const box = card.getBoundingClientRect();
    if (box.bottom > 0 && box.top < innerHeight) places.set(card.id, { box, column: card.closest(".column")?.id });
  }
  return places;
}

/** Lets cards that changed their column go there. */
function moved(before) {
  for (const [id, { box, column }] of before) {
    const card = element(id);
    if (!card || card.closest(".column")?.id === column) continue;
    const now = card.getBoundingClientRect();
    if (now.top > innerHeight) continue;
    const from = `translate(${box.left - now.left}px, ${box.top - now.top}px)`;
    card.animate([{ transform: from, opacity: 0.6 }, { transform: "none", opacity: 1 }], { duration: 220, easing: "ease-out" });
  }
}

/** Fetches the columns of the newest wish, until there is none. */
async function showColumns(ms) {
  wanted = { ms };
  if (isFetching) return;
  isFetching = true;
  try {
    while (wanted) {
      const { ms } = wanted;
      const before = settles;
      wanted = undefined;
      const answer = await fetch(address(ms, { part: "columns" }), { headers: { "HX-Request": "true" } });
      if (!answer.ok) return;
      const html = await answer.text();
      // Meanwhile the whole page came, which is of a later wish.
      if (before !== settles) continue;
      const cards = playing && !isStill() ? places() : null;
      await window.htmx.swap({ text: html, target: element("shown"), swap: "outerMorph" });
      writeTimes();
      if (cards) {
        moved(cards);
        told.tintChanges();
      } else told.forgetChanges();
    }
  } finally {
    isFetching = false;
  }
}

/** The page is of the moment that the slider stands at: its links, its band, its address. */
async function settle() {
  clearTimeout(settling);
  settling = null;
  if (document.body.dataset.live === undefined && at === null) {
    // A page of the past follows nothing; one of now is loaded.
    location.assign(address(null));
    return;
  }
  const mine = { at, asked: ++asked };
  // The first move makes an entry, so that back leads to where it began; further moves change that entry.
  if (hasEntry) history.replaceState(history.state, "", address(at));
  else history.pushState(null, "", address(at));
  hasEntry = true;
  shownQuery = location.search;
  // Who went on meanwhile gets the page of a later moment.
  const isStale = () => mine.asked !== asked || at !== mine.at || settling || playing;
  let answer;
  let html;
  try {
    answer = await fetch(address(at));
    html = await answer.text();
  } catch {
    if (!isStale()) settling = setTimeout(settle, 2000);
    return;
  }
  if (isStale()) return;
  const page = new DOMParser().parseFromString(html, "text/html");
  if (!answer.ok || !page.querySelector("header.frame")) {
    // The page that says why, or that asks to log in.
    location.reload();
    return;
  }
  await put(page);
  // Who went on while it was put in place holds the page again.
  if (!isStale()) release();
}

/** Puts a whole page of a moment in place. */
async function put(page) {
  settles += 1;
  wanted = undefined;
  document.querySelector("header.frame").replaceWith(document.adoptNode(page.querySelector("header.frame")));
  document.querySelector(".band.as-of")?.remove();
  const band = page.querySelector(".band.as-of");
  if (band) document.querySelector("header.frame").after(document.adoptNode(band));
  document.title = page.title;
  showIcon(page.head.innerHTML);
  await window.htmx.swap({ text: page.querySelector("main").outerHTML, target: "#main", swap: "outerMorph" });
  told.forgetChanges();
  placed();
  writeTimes();
}

/** Goes to a moment: at once the columns, a little later the whole page. */
function go(ms, isResting = true) {
  const end = number("to");
  at = ms >= end - 1 && bar().hasAttribute("data-ends-now") ? null : Math.max(ms, number("from"));
  hold();
  slider().value = at ?? end;
  labelled();
  // A server that does not answer is asked again when the slider rests.
  showColumns(at).catch(() => {});
  clearTimeout(settling);
  settling = isResting ? setTimeout(settle, 400) : null;
}

function stop() {
  clearInterval(playing);
  playing = null;
  element("time-play").setAttribute("aria-pressed", "false");
  element("time-play").setAttribute("aria-label", "Play");
  element("time-play").textContent = "▶";
}

function play() {
  if (playing) {
    stop();
    settle();
    return;
  }
  // What is at its end plays from its beginning.
  if (at === null) at = number("from");
  element("time-play").setAttribute("aria-pressed", "true");
  element("time-play").setAttribute("aria-label", "Pause");
  element("time-play").textContent = "⏸";
  let last = performance.now();
  playing = setInterval(() => {
    const now = performance.now();
    const next = at + (now - last) * Number(element("time-speed").value);
    last = now;
    const isOver = next >= number("to");
    if (isOver) stop();
    go(isOver ? number("to") : next, isOver);
  }, TICK);
}

/** The times of all marks. */
function marks() {
  const times = element("marks")?.dataset.times ?? "";
  const from = Number(element("marks")?.dataset.from);
  return times ? times.split(" ").map((time) => from + Number(time)) : [];
}

/** To the next mark, or the one before. */
function toMark(isNext) {
  const here = at ?? number("to");
  const all = marks();
  // A moment counts what was durable by then, and a mark is a little before that.
  const mark = isNext ? all.find((time) => time > here) : all.findLast((time) => time < here - 60);
  if (mark !== undefined) go(mark + 50);
  else if (isNext && bar().hasAttribute("data-ends-now")) go(number("to"));
}

/** Draws when runs started, failed, and were decided. */
async function drawMarks() {
  const [from, to] = [number("from"), number("to")];
  if (Date.now() - marksAt < MARKS_PAUSE && Number(element("marks").dataset.from) === from) return;
  marksAt = Date.now();
  const turn = ++marksAsked;
  let text;
  try {
    const answer = await fetch(address(null, { part: "marks", from, to }), { headers: { "HX-Request": "true" } });
    text = answer.ok ? await answer.text() : "";
  } catch {
    // They are drawn when the page is fetched next.
    marksAt = 0;
    return;
  }
  if (turn !== marksAsked || !text) return;
  const drawn = new DOMParser().parseFromString(text, "text/html").querySelector("svg");
  drawn.dataset.from = from;
  element("marks").replaceWith(document.adoptNode(drawn));
  element("marks-legend").textContent = drawn.dataset.legend;
  document.querySelector(".time-legend").title = drawn.dataset.legend;
}

/** Puts the slider where the page says. */
function placed() {
  const input = slider();
  const isOff = at !== null && (at > number("to") || at < number("from"));
  input.min = number("from");
  input.max = number("to");
  if (isOff) at = bar().hasAttribute("data-now") ? null : number("value");
  input.value = at ?? number("to");
  labelled();
  drawMarks();
}

/** Lets the bar of time work. */
export function travel(tellers) {
  told = tellers;
  at = bar().hasAttribute("data-now") ? null : number("value");
  placed();
  const length = (number("to") - number("from")) / 1000;
  // A span plays within a minute, where there is such a speed.
  const speeds = [...element("time-speed").options].map((option) => Number(option.value));
  element("time-speed").value = String(speeds.find((speed) => speed >= length / 60) ?? speeds.at(-1));
  document.addEventListener("input", (event) => {
    if (event.target !== slider()) return;
    if (playing) stop();
    go(Number(slider().value), false);
  });
  document.addEventListener("change", (event) => event.target === slider() && settleSoon());
  document.addEventListener("keydown", (event) => {
    if (event.target !== slider()) return;
    const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 }[event.key];
    if (steps === undefined) return;
    event.preventDefault();
    if (playing) stop();
    go((at ?? number("to")) + steps * number("step"));
  });
  document.addEventListener("click", (event) => {
    const pressed = event.target.closest?.("#time-play, #time-back, #time-on, #time-home")?.id;
    if (pressed === "time-play") play();
    if (pressed === "time-back") toMark(false);
    if (pressed === "time-on") toMark(true);
    if (pressed === "time-home") {
      if (playing) stop();
      go(number("to") + 1);
      if (at !== null) location.assign(address(null));
    }
  });
  onKey("[", () => toMark(false));
  onKey("]", () => toMark(true));
  document.addEventListener("everfold:refreshed", placed);
  window.addEventListener("popstate", () => location.search !== shownQuery && location.reload());
}

function settleSoon() {
  clearTimeout(settling);
  settling = setTimeout(settle, 250);
}
