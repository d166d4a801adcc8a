// Links with `data-dialog` open in the page's dialog, where the form of an action is sent without leaving the page.
// Without scripts they are pages of their own.
import { refresh } from "./live.js";
import { say, UNANSWERED } from "./send.js";

/** Ends when no button of a pointer is pressed: what is pressed must not be replaced under it. */
let isPressed = false;
function released() {
  if (!isPressed) return Promise.resolve();
  return new Promise((go) => {
    for (const event of ["pointerup", "pointercancel"]) {
      document.addEventListener(event, () => setTimeout(go), { once: true });
    }
  });
}

const inScript = { "HX-Request": "true" };
let opener = null;
/** Whether what the form says is not yet that of what is typed, beside the command line. */
let isWholeDue = false;
let asked = 0;

/** Opens the dialog with what is at an address. */
export async function openDialog(address) {
  const dialog = document.getElementById("dialog");
  const held = document.activeElement;
  const menu = held?.closest("details.menu");
  // What a menu holds cannot have the focus again once the menu is closed.
  opener = menu?.querySelector("summary") ?? held;
  if (menu) menu.open = false;
  const turn = ++asked;
  isWholeDue = false;
  let answer;
  try {
    answer = await fetch(address, { headers: inScript });
  } catch {
    if (turn !== asked) return;
    // Nothing answers: the page stays, with what stands on it.
    document.getElementById("notice").textContent = "The server does not answer. Nothing was done.";
    setTimeout(() => document.getElementById("notice").replaceChildren(), NEWS_MS);
    return;
  }
  if (turn !== asked) return;
  if (answer.status === 401) {
    // The session is over: the page itself asks to log in, and comes back.
    location.reload();
    return;
  }
  if (answer.redirected) {
    location.assign(answer.url);
    return;
  }
  const text = await answer.text();
  if (turn !== asked) return;
  fill(dialog, text);
  if (!answer.ok) dialog.append(closing());
  if (!dialog.open) dialog.showModal();
  first(dialog)?.focus();
}

/** Says that something was done, where the next page would say it. */
export function sayDone(text) {
  const band = document.getElementById("done");
  if (!band) return;
  band.hidden = false;
  band.textContent = text;
  forgetLater(band);
}

// What was done is news for a while; then the page itself shows what became of it.
const NEWS_MS = 15_000;
let forgets;

function forgetLater(band) {
  clearTimeout(forgets);
  forgets = setTimeout(() => { band.hidden = true; }, NEWS_MS);
}

/** A way out for the keyboard and for fingers, where what came has none. */
function closing() {
  const button = document.createElement("button");
  button.type = "button";
  button.dataset.close = "";
  button.textContent = "Close";
  const row = document.createElement("p");
  row.className = "actions act-end";
  row.append(button);
  return row;
}

function fill(root, text) {
  root.innerHTML = text;
  const title = root.querySelector("#act-heading");
  if (title) {
    root.setAttribute("aria-labelledby", title.id);
    root.removeAttribute("aria-label");
  }
  window.htmx.process(root);
  document.dispatchEvent(new CustomEvent("everfold:refreshed"));
}

/** Where typing begins: what a refusal is about, else the first field, else the button. */
function first(root) {
  return root.querySelector("[aria-invalid=true]") ?? root.querySelector("[autofocus]")
    ?? [...root.querySelectorAll("form textarea, form select, form input:not([type=hidden])")].find(shown)
    ?? root.querySelector("[data-submit], .button, button");
}

function shown(field) {
  return field.checkVisibility();
}

function typed(form) {
  return new URLSearchParams(new FormData(form)).toString();
}

/** Sends the form of an action; what it answers comes into its place, or only the command line of it. */
async function send(form, submitter, isCommandOnly = false) {
  if (form.classList.contains("is-busy")) return;
  const root = form.closest("dialog") ?? document.getElementById("main");
  const was = typed(form);
  const body = new URLSearchParams(was);
  const isLook = submitter === "look";
  if (isLook) body.set("look", "1");
  const button = form.querySelector("[data-submit]");
  const turn = ++asked;
  form.setAttribute("aria-busy", "true");
  if (!isLook) {
    form.classList.add("is-busy");
    button.disabled = true;
  }
  try {
    const answer = await fetch(form.getAttribute("action"), { method: "POST", headers: inScript, body });
    const text = await answer.text();
    if (turn !== asked) return;
    if (isLook) await released();
    if (turn !== asked) return;
    // What was typed meanwhile is not taken away: it is looked at instead.
    if (isLook && form.isConnected && typed(form) !== was) {
      setTimeout(() => form.isConnected && send(form, "look", isCommandOnly));
      return;
    }
    if (isCommandOnly) {
      putCommand(root, text);
      return;
    }
    isWholeDue = false;
    done(answer, text, form, root, isLook);
  } catch {
    if (!isLook) say(form, UNANSWERED);
  } finally {
    // A look that ends while the form is sent leaves it as it is.
    if (!isLook || !form.classList.contains("is-busy")) {
      form.removeAttribute("aria-busy");
      form.classList.remove("is-busy");
      if (button) button.disabled = false;
    }
  }
}

/** The command line says what is typed; the form, in which somebody types, stays as it is. */
function putCommand(root, text) {
  const fresh = new DOMParser().parseFromString(text, "text/html").querySelector(".act-command");
  const former = root.querySelector(".act-command");
  if (fresh && former) former.replaceWith(fresh);
}

function done(answer, text, form, root, isLook) {
  const to = answer.headers.get("HX-Redirect");
  const part = new DOMParser().parseFromString(text, "text/html");
  const word = part.querySelector("[data-done]");
  if (to || answer.redirected) {
    location.assign(to ?? answer.url);
  } else if (word && root.matches("dialog")) {
    root.close();
    sayDone(word.textContent);
    refresh();
  } else if (word) {
    const run = form.querySelector("a[data-close]").getAttribute("href");
    location.assign(`${run}${run.includes("?") ? "&" : "?"}done=${encodeURIComponent(word.dataset.done)}`);
  } else if (part.querySelector("[data-act]")) {
    swap(root, part.querySelector("[data-act]"), isLook);
  } else {
    say(form, part.body.textContent.trim() || `The server answered ${answer.status}.`);
  }
}

/** Puts a new form in place of the former one; the focus stays where it was, or goes to what was refused. */
function swap(root, part, isLook) {
  const held = document.activeElement;
  const place = held?.id;
  const [from, to] = held?.selectionStart === undefined ? [] : [held.selectionStart, held.selectionEnd];
  const open = [...root.querySelectorAll("details")].map((one) => one.open);
  const former = root.querySelector("[data-act]");
  if (isLook) {
    // It is the same form still: its key, by which a repeat counts once, and what it says of a server that did not answer.
    const [key, next] = [former, part].map((form) => form.querySelector("input[name=once]"));
    if (key && next) next.value = key.value;
    const unanswered = former.querySelector("form > .problem");
    if (unanswered) part.querySelector("form")?.prepend(unanswered);
  }
  former.replaceWith(part);
  if (isLook) {
    const folds = [...root.querySelectorAll("details")];
    if (folds.length === open.length) folds.forEach((one, at) => { one.open = one.open || open[at]; });
    const again = place && document.getElementById(place);
    again?.focus({ preventScroll: true });
    if (again && from !== null && from !== undefined && again.setSelectionRange) {
      try { again.setSelectionRange(from, to); } catch { /* a field without a selection */ }
    }
    return;
  }
  const problem = root.querySelector(".problem");
  (root.querySelector("[aria-invalid=true]") ?? first(root))?.focus();
  problem?.scrollIntoView({ block: "nearest" });
}

/** What is said, and the command line, follow what is typed, a little later. */
function looks() {
  let timer;
  const look = (event, pause) => {
    const field = event.target;
    const form = field.closest?.("form[data-act-form]");
    if (!form) return;
    const says = field.closest("[data-says], [data-schema-form]");
    if (!says && !field.matches("[data-typed]")) return;
    isWholeDue ||= says !== null;
    clearTimeout(timer);
    timer = setTimeout(() => form.isConnected && send(form, "look", !isWholeDue), pause);
  };
  document.addEventListener("change", (event) => look(event, event.target.matches?.("[data-typed]") ? 200 : 0));
  document.addEventListener("input", (event) => !event.isComposing && event.target.matches?.("[data-typed], input[data-says]:not([type=radio], [type=checkbox])") && look(event, 500));
}

/** Lets links open the dialog, buttons with `data-close` close it, and forms of actions be sent from it. */
export function openDialogs() {
  document.documentElement.classList.add("scripts");
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[data-dialog]");
    if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0) {
      event.preventDefault();
      // Not every browser gives a link the focus that is clicked.
      link.focus();
      openDialog(link.href);
      return;
    }
    const close = event.target.closest?.("[data-close]");
    const dialog = close?.closest("dialog");
    if (dialog) {
      event.preventDefault();
      dialog.close();
    }
  });
  // A click beside the dialog closes it, but not one that began inside, as when text is selected.
  let pressed = null;
  document.addEventListener("pointerdown", (event) => {
    pressed = event.target;
    isPressed = true;
  }, true);
  for (const event of ["pointerup", "pointercancel"]) document.addEventListener(event, () => { isPressed = false; }, true);
  document.addEventListener("click", (event) => {
    if (event.target instanceof HTMLDialogElement && pressed === event.target) event.target.close();
  });
  document.addEventListener("submit", (event) => {
    const form = event.target.closest?.("form[data-act-form]");
    if (!form) return;
    event.preventDefault();
    send(form, event.submitter?.name);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    const form = event.target.closest?.("form[data-act-form]") ?? document.querySelector("dialog[open] form[data-act-form]");
    if (!form) return;
    event.preventDefault();
    form.requestSubmit(form.querySelector("[data-submit]"));
  });
  // Esc closes an open menu first, then what else it would.
  document.addEventListener("keydown", (event) => {
    const menu = event.key === "Escape" && !document.querySelector("dialog[open]") && document.querySelector("details.menu[open]");
    if (!menu) return;
    event.preventDefault();
    event.stopPropagation();
    menu.open = false;
    menu.querySelector("summary").focus();
  }, true);
  const dialog = document.getElementById("dialog");
  dialog?.addEventListener("close", () => {
    asked += 1;
    dialog.replaceChildren();
    if (opener?.isConnected) opener.focus();
  });
  looks();
  forgetDone();
}

/** Takes what was done out of the address, so that it is not said again. */
function forgetDone() {
  const band = document.getElementById("done");
  if (band && !band.hidden) forgetLater(band);
  const here = new URL(location.href);
  if (!here.searchParams.has("done")) return;
  here.searchParams.delete("done");
  history.replaceState(history.state, "", here.pathname + here.search + here.hash);
}
