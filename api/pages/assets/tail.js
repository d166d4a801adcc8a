// The panel of a step that goes on shows the newest lines of its log as they come.

// Lines that stay.
const LINES_MAX = 12;

let source;
let followed;

function close() {
  source?.close();
  source = undefined;
  followed = undefined;
}

/** Follows the log of the panel, and no other: a page has few connections. */
function follow() {
  const log = document.querySelector(".log[data-tail]");
  if (log && log === followed) return;
  close();
  if (!log || document.hidden) return;
  followed = log;
  const own = new EventSource(`${log.dataset.tail}&behind=${log.dataset.last}`);
  source = own;
  let waiting = [];
  let drawn = 0;
  const draw = () => {
    drawn = 0;
    log.insertAdjacentHTML("beforeend", waiting.slice(-LINES_MAX).join(""));
    waiting = [];
    while (log.childElementCount > LINES_MAX) log.firstElementChild.remove();
  };
  own.addEventListener("line", (event) => {
    if (own !== source) return;
    log.dataset.last = event.lastEventId || log.dataset.last;
    waiting.push(JSON.parse(event.data).html);
    drawn ||= requestAnimationFrame(draw);
  });
  // What ended is not asked for again; the refreshed page shows how.
  own.addEventListener("over", () => own.close());
}

follow();
document.addEventListener("everfold:refreshed", follow);
document.addEventListener("visibilitychange", () => (document.hidden ? close() : follow()));
window.addEventListener("pagehide", close);
window.addEventListener("pageshow", (event) => event.persisted && follow());
