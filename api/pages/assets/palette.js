// The palette: finds runs, pipelines, pages and actions, by keys. Without scripts its field is a form for the same page.
import { onKey } from "./keys.js";

const PAUSE = 80;

let waiting;
let finding = Promise.resolve();
let asked = 0;
let asking = new AbortController();

const dialog = () => document.getElementById("palette");
const field = () => document.getElementById("palette-field");
const options = () => [...dialog().querySelectorAll('[role="option"]')];

function drawn() {
  if (field()) return;
  dialog().innerHTML = `<input type="text" id="palette-field" class="palette-field" role="combobox" aria-expanded="true"
    aria-controls="palette-list" aria-autocomplete="list" aria-label="Find runs, pipelines, pages and actions"
    placeholder="A run, a pipeline, a page, an action, a time" autocomplete="off" spellcheck="false">
    <div id="palette-found"></div>
    <p class="palette-help" aria-hidden="true"><span><kbd>↑</kbd> <kbd>↓</kbd> choose</span><span><kbd>Enter</kbd> go there</span><span><kbd>Esc</kbd> close</span></p>
    <p class="unseen" role="status" id="palette-count"></p>`;
  field().addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      finding = find();
    }, PAUSE);
  });
  field().addEventListener("keydown", keyed);
}

function chosen() {
  return dialog().querySelector('[aria-selected="true"]');
}

function choose(option) {
  chosen()?.setAttribute("aria-selected", "false");
  option?.setAttribute("aria-selected", "true");
  option?.scrollIntoView({ block: "nearest" });
  if (option) field().setAttribute("aria-activedescendant", option.id);
  else field().removeAttribute("aria-activedescendant");
}

function keyed(event) {
  const all = options();
  const at = all.indexOf(chosen());
  const to = { ArrowDown: (at + 1) % all.length, ArrowUp: (at - 1 + all.length) % all.length, Home: 0, End: all.length - 1 }[event.key];
  const moves = event.key.startsWith("Arrow") ? to !== undefined : to !== undefined && event.ctrlKey;
  if (moves && all.length > 0) {
    event.preventDefault();
    choose(all[to]);
  } else if (event.key === "Enter") {
    event.preventDefault();
    if (waiting) {
      clearTimeout(waiting);
      finding = find();
    }
    // What is chosen is of the text that stands there, not of the one before.
    finding.then(() => chosen()?.click(), () => {});
  }
}

/** Asks for what fits, and chooses the first. */
async function find() {
  waiting = undefined;
  const number = ++asked;
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const query = new URLSearchParams({ part: "hits", q: field().value, zone });
  const at = new URLSearchParams(location.search).get("at");
  if (at) query.set("at", at);
  const run = location.pathname.match(/^\/runs\/([0-9a-f-]+)(?:\/|$)/)?.[1];
  if (run) query.set("run", run);
  asking.abort();
  asking = new AbortController();
  let found;
  try {
    const answer = await fetch(`/find?${query}`, { headers: { "HX-Request": "true" }, signal: asking.signal });
    found = answer.ok ? await answer.text() : undefined;
  } catch {
    // Nothing answers, or something newer is asked for.
  }
  if (number !== asked) return;
  if (found === undefined) {
    document.getElementById("palette-found").replaceChildren();
    choose(undefined);
    document.getElementById("palette-count").textContent = "The server did not answer.";
    return;
  }
  document.getElementById("palette-found").innerHTML = found;
  const all = options();
  choose(all[0]);
  document.getElementById("palette-count").textContent = all.length === 1 ? "1 found" : `${all.length} found`;
}

function open(text = "") {
  drawn();
  if (dialog().open) return;
  field().value = text;
  dialog().showModal();
  field().focus();
  document.getElementById("palette-found").replaceChildren();
  finding = find();
}

/** Opens the palette by Ctrl-K, by a slash, and by the field in the header. */
export function openPalette() {
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && event.key.toLowerCase() === "k") {
      event.preventDefault();
      if (dialog()?.open) dialog().close();
      else open();
    }
  });
  document.addEventListener("pointerdown", (event) => {
    if (!event.target.closest?.(".jump input[type=search]") || event.button !== 0) return;
    event.preventDefault();
    open();
  });
  document.addEventListener("input", (event) => {
    // Typed into the header's field, which was reached by keys: the palette goes on with it.
    if (!event.target.closest?.(".jump")) return;
    const text = event.target.value;
    event.target.value = "";
    open(text);
  });
  onKey("/", () => open());
}
