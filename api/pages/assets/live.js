// Follows what changes, and fetches the page anew when something did.

const PAUSE_MAX = 15_000;
// Between two fetches lie so many times what the last one took: a slow server is asked less often.
const REST_FACTOR = 4;

let wanted = false;
let running = false;

// What a viewer opened stays open.
window.htmx.registerExtension("everfold-open", {
  htmx_before_morph_attr: (element, { attrName }) => !(attrName === "open" && element.matches("details, dialog")),
});

// What could not be fetched is asked for again a little later; a session that is over is not.
for (const event of ["htmx:response:error", "htmx:error"]) {
  document.addEventListener(event, ({ detail }) => {
    if (detail.ctx?.target?.id === "main" && detail.ctx.response?.status !== 401) setTimeout(refresh, PAUSE_MAX);
  });
}

const pause = (ms) => new Promise((over) => setTimeout(over, ms));

/** Fetches this page again and puts its changed parts in place; a page that nobody sees waits until it is looked at. */
export async function refresh() {
  // Somebody goes through time on this page.
  if (document.body.dataset.still !== undefined) return;
  wanted = true;
  if (running || document.hidden) return;
  running = true;
  try {
    while (wanted && !document.hidden) {
      wanted = false;
      const begun = performance.now();
      await window.htmx.ajax("GET", location.pathname + location.search, {
        target: "#main",
        select: "#main",
        selectOOB: "#places",
        swap: "outerMorph",
      });
      document.dispatchEvent(new CustomEvent("everfold:refreshed"));
      await pause(REST_FACTOR * (performance.now() - begun));
    }
  } finally {
    running = false;
  }
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
  document.addEventListener("everfold:over", shownAsOver);
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
