// Follows what changes, and fetches the page anew when something did.

const PAUSE_MAX = 15_000;
// Between two fetches lie so many times what the last one took: a slow server is asked less often.
const REST_FACTOR = 4;
// A server that takes longer than this for a page is asked again.
const ANSWER_MAX = 60_000;

let wanted = false;
let running = false;
let retry;
/** The one load whose answer may be shown. */
let current;

// What a viewer opened stays open.
window.htmx.registerExtension("everfold-open", {
  htmx_before_morph_attr: (element, { attrName }) => !(attrName === "open" && element.matches("details, dialog")),
});

/** The icon of the tab shows the state of the page that was fetched. */
export function showIcon(html) {
  const href = /<link rel="icon" href="([^"]+)"/.exec(html)?.[1];
  const link = document.querySelector("link[rel=icon]");
  if (href && link && link.getAttribute("href") !== href) link.setAttribute("href", href);
}

const pause = (ms) => new Promise((over) => setTimeout(over, ms));
const here = () => location.pathname + location.search;

/** Asks for the page at its address, and puts its changed parts in place. A newer load, another address and a hold make
 *  the answer stale: it is dropped. Resolves to whether the page is of the answer. */
function load() {
  clearTimeout(retry);
  current?.controller.abort();
  const own = { address: here(), controller: new AbortController() };
  current = own;
  own.shown = put(own);
  return own.shown;
}

/** What a viewer opened and reads, and where it stands in the window. A browser keeps it there itself, but not at the top
 *  of a page, where new rows push it out of sight. */
function readRow() {
  const isSeen = ({ top, bottom }) => bottom > 0 && top < window.innerHeight;
  const opened = [...document.querySelectorAll("#main details[open]")].map((row) => ({ row, ...row.getBoundingClientRect().toJSON() }));
  return opened.findLast(isSeen);
}

async function put(own) {
  const signal = AbortSignal.any([own.controller.signal, AbortSignal.timeout(ANSWER_MAX)]);
  const isStale = () => current !== own || own.address !== here();
  try {
    const answer = await fetch(own.address, { headers: { "HX-Request": "true" }, signal });
    const text = await answer.text();
    if (isStale()) {
      // The page went on to another address without a load of its own.
      if (current === own) refresh();
      return false;
    }
    if (answer.status === 401) {
      shownAsOver();
      return false;
    }
    if (!answer.ok) throw new Error(`${own.address}: ${answer.status}`);
    const read = readRow();
    await window.htmx.swap({
      text, sourceElement: document.body, target: document.getElementById("main"),
      select: "#main", selectOOB: "#places:outerMorph", swap: "outerMorph",
    });
    if (read?.row.isConnected) window.scrollBy({ top: read.row.getBoundingClientRect().top - read.top, behavior: "instant" });
    showIcon(text);
    document.dispatchEvent(new CustomEvent("everfold:refreshed"));
    return true;
  } catch {
    // What could not be fetched is asked for again a little later, by one timer.
    if (!isStale()) retry = setTimeout(refresh, PAUSE_MAX);
    return false;
  } finally {
    if (current === own) current = undefined;
  }
}

/** Whether nothing is to be fetched: the page is in the background, is held, or shows a moment of the past. */
function rests() {
  return document.hidden || document.body.dataset.still !== undefined || new URLSearchParams(location.search).has("at");
}

/** Fetches this page again, once it does not rest. */
export async function refresh() {
  wanted = true;
  if (running || rests()) return;
  running = true;
  try {
    while (wanted && !rests()) {
      wanted = false;
      const begun = performance.now();
      await load();
      await pause(REST_FACTOR * (performance.now() - begun));
    }
  } finally {
    running = false;
  }
}

/** Shows at once what the address names now. */
export function show() {
  // What is asked for already is waited for.
  return current?.address === here() ? current.shown : load();
}

/** Holds refreshes back while the page shows something else; answers that are under way are dropped. */
export function hold() {
  document.body.dataset.still = "";
  clearTimeout(retry);
  current?.controller.abort();
  current = undefined;
}

/** Lets refreshes go on; what changed meanwhile is fetched. */
export function release() {
  delete document.body.dataset.still;
  if (wanted) refresh();
}

function shownAsLost(isLost) {
  const band = document.getElementById("lost");
  if (band) band.hidden = !isLost;
}

/** Says that the session is over; nothing is asked for any more. */
function shownAsOver() {
  shownAsLost(false);
  const band = document.getElementById("over");
  if (band) band.hidden = false;
}

/** Whether the server answers, and does not know this caller any more. */
async function isOver(address) {
  try {
    return (await fetch(address, { method: "HEAD", headers: { "HX-Request": "true" } })).status === 401;
  } catch {
    return false;
  }
}

/** Opens the stream of changes of this page, while somebody looks at it. */
export function follow() {
  const runs = document.body.dataset.live;
  if (runs === undefined) return;
  let source;
  let delay = 500;
  const address = `/live?runs=${encodeURIComponent(runs)}`;
  const open = () => {
    if (source || document.hidden) return;
    source = new EventSource(address);
    source.addEventListener("ready", () => {
      shownAsLost(false);
      delay = 500;
      // What happened before the stream was open was not told.
      refresh();
    });
    source.addEventListener("change", () => refresh());
    source.addEventListener("error", async () => {
      shownAsLost(true);
      if (source?.readyState !== EventSource.CLOSED) return;
      source = undefined;
      if (await isOver(address)) {
        shownAsOver();
        return;
      }
      setTimeout(open, delay);
      delay = Math.min(delay * 2, PAUSE_MAX);
    });
  };
  const close = () => {
    source?.close();
    source = undefined;
  };
  open();
  // A browser opens six connections to a server at most without HTTP/2: pages in the background leave theirs to others.
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  // A browser that keeps the page for "back" closes its connections.
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", (event) => event.persisted && open());
}
