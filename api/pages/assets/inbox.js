// The inbox by keys, and remarks by a click on the number of a line.
import { onKey } from "./keys.js";

const open = () => document.querySelector("[data-open]");
const button = (id) => document.querySelector(`#decide #${id}`);

// A question that came after a decision, or by itself, takes no key for a moment: a second press was for the one before.
const SETTLES = 800;
let cameAt = document.getElementById("inbox-effect") ? performance.now() : -Infinity;
let shownPath = open()?.dataset.path;
document.addEventListener("everfold:refreshed", () => {
  const path = open()?.dataset.path;
  if (path !== shownPath) cameAt = performance.now();
  shownPath = path;
});

// A question that came by itself gets its own address: what is fetched there next is never another one.
document.addEventListener("everfold:refreshed", () => {
  const path = open()?.dataset.path;
  const own = path && new URL(path, location.href);
  if (own && own.pathname !== location.pathname) {
    history.replaceState(history.state, "", own.pathname + location.search);
  }
});

/** Where the page goes to: a further key counts from there. */
let headed;
window.addEventListener("pageshow", () => { headed = undefined; });

/** Goes to a question of the list: the next one, or the one before. */
function step(by) {
  const links = [...document.querySelectorAll(".inbox-list li a")];
  const at = links.findIndex((link) => headed ? link.href === headed : link.hasAttribute("aria-current"));
  const to = links[at < 0 ? 0 : at + by];
  if (!to) return;
  headed = to.href;
  location.assign(to.href);
}

/** Does what a button does, once what it needs is written. */
function press(id, isWritten) {
  const pressed = button(id);
  if (!pressed || pressed.disabled || performance.now() - cameAt < SETTLES) return;
  const field = document.getElementById("comment");
  if (isWritten && field && !field.value.trim()) {
    for (const other of pressed.form.querySelectorAll("[data-armed]")) delete other.dataset.armed;
    pressed.dataset.armed = "";
    field.focus();
    field.scrollIntoView({ block: "center" });
    return;
  }
  pressed.form.requestSubmit(pressed);
}

onKey("j", () => step(1));
onKey("k", () => step(-1));
onKey("n", () => step(1));
onKey("a", () => press("approve", false), { once: true });
onKey("r", () => press("reject", true), { once: true });
onKey("c", () => press("changes", true), { once: true });
onKey("?", () => {
  const keys = document.getElementById("inbox-keys");
  if (!keys) return;
  keys.open = !keys.open;
  if (keys.open) keys.scrollIntoView({ block: "nearest" });
});

/** The row of the next remark: an empty one, else a new one. */
function emptyRow() {
  const rows = [...document.querySelectorAll("#remark-rows .inbox-row")];
  const isEmpty = (row) => !row.querySelector("textarea").value.trim() && !row.querySelector("input[inputmode]").value;
  const empty = rows.find(isEmpty);
  if (empty || rows.length === 0) return empty;
  const row = rows[rows.length - 1].cloneNode(true);
  for (const field of row.querySelectorAll("[name]")) {
    field.name = field.name.replace(/\d+$/, String(rows.length));
    field.value = "";
  }
  row.querySelector("legend").textContent = `Remark ${rows.length + 1}`;
  rows[rows.length - 1].after(row);
  return row;
}

document.addEventListener("click", (event) => {
  const number = event.target.closest?.("a[data-line]");
  const details = document.getElementById("remarks");
  if (!number) return;
  event.preventDefault();
  const row = details && emptyRow();
  if (!row) return;
  details.open = true;
  row.querySelector("select").value = number.dataset.on;
  row.querySelector("input[inputmode]").value = number.dataset.line;
  const line = number.parentElement.querySelector("code");
  row.querySelector("input[type=hidden]").value = line && number.classList.contains("shown-number")
    ? line.textContent.slice(0, 200) : "";
  number.parentElement.classList.add("is-remarked");
  const field = row.querySelector("textarea");
  field.focus();
  field.scrollIntoView({ block: "center" });
});

// Ctrl-Enter in a field sends what was begun by a key.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.repeat || !(event.ctrlKey || event.metaKey)) return;
  const form = event.target.closest?.("#decide");
  const armed = form?.querySelector("button[data-armed]");
  if (!armed) return;
  event.preventDefault();
  form.requestSubmit(armed);
});

/** Scrolls the list, never the page, so that the open question is in sight in it. */
let followed;
function follow() {
  const list = document.getElementById("inbox-list");
  const entry = list?.querySelector("a[aria-current]");
  if (!entry || entry.href === followed) return;
  followed = entry.href;
  const [frame, own] = [list.getBoundingClientRect(), entry.getBoundingClientRect()];
  const head = list.querySelector("h1")?.offsetHeight ?? 0;
  if (own.top < frame.top + head || own.bottom > frame.bottom) list.scrollTop += own.top - frame.top - frame.height / 3;
}
follow();
document.addEventListener("everfold:refreshed", follow);

// What was typed when somebody else decided first is not lost.
let typed = "";
document.addEventListener("input", (event) => {
  const form = event.target.closest?.("#decide");
  if (!form) return;
  const fields = [...form.querySelectorAll("textarea, input:not([type=hidden], [type=radio])")];
  const written = fields.filter((field) => field.value.trim() && field.value !== field.defaultValue);
  typed = written.map((field) => field.value).join("\n\n");
});
document.addEventListener("everfold:refreshed", () => {
  const unsent = document.getElementById("unsent");
  if (!unsent?.hidden || !typed.trim()) return;
  // What was sent, though no answer came, stands among what was said.
  const said = document.querySelector("#gone .inbox-said")?.textContent ?? "";
  if (typed.split("\n\n").every((words) => said.includes(words.trim()))) return;
  unsent.querySelector("pre").textContent = typed;
  unsent.hidden = false;
});

const keys = document.getElementById("inbox-keys");
if (keys) keys.hidden = false;
if (open() && document.getElementById("refused")) document.getElementById("refused").scrollIntoView({ block: "center" });
