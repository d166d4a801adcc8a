// Forms of pages are sent without leaving the page, so that a server that does not answer takes nothing of what was typed:
// the form stays as it is, with the key by which a repeat counts once. Without scripts the browser sends them.
import { hold, showIcon } from "./live.js";

/** What a form says that nothing answered. */
export const UNANSWERED = "The server did not answer. What you typed is still here. Whether it was done is not known: sending the form again does it once.";

// What a proxy answers in the place of a server that is away.
const AWAY = [502, 503, 504];
const busy = new Set();

/** Says at the top of a form why it stands there still: a text, or an element that says it. */
export function say(form, why) {
  for (const former of form.querySelectorAll(":scope > .problem")) former.remove();
  let problem = why;
  if (typeof why === "string") {
    problem = document.createElement("div");
    problem.className = "problem";
    problem.setAttribute("role", "alert");
    const line = document.createElement("p");
    line.textContent = why;
    problem.append(line);
  }
  form.prepend(problem);
  problem.scrollIntoView({ block: "nearest" });
}

/** Whether scripts send a form: one that writes, and is not a login or a logout, which are pages of their own. */
function isSent(form) {
  if (!form.matches("form[method=post]:not([data-act-form])")) return false;
  const to = new URL(form.getAttribute("action") ?? "", location.href);
  return to.origin === location.origin && !["/login", "/logout"].includes(to.pathname);
}

function mark(form, submitter) {
  busy.add(form);
  form.setAttribute("aria-busy", "true");
  // A refresh of the page gives the form no other key while it is not known whether it was done.
  form.setAttribute("hx-morph-skip", "");
  for (const button of form.querySelectorAll("button:not(:disabled)")) {
    button.disabled = true;
    button.dataset.stopped = "";
  }
  if (submitter?.dataset.busy) {
    submitter.dataset.text = submitter.textContent;
    submitter.textContent = submitter.dataset.busy;
  }
}

function unmark(form) {
  busy.delete(form);
  form.removeAttribute("aria-busy");
  for (const button of form.querySelectorAll("[data-stopped]")) {
    button.disabled = false;
    delete button.dataset.stopped;
    if (button.dataset.text) button.textContent = button.dataset.text;
    delete button.dataset.text;
  }
}

function stays(form, submitter, why) {
  unmark(form);
  say(form, why);
  submitter?.focus({ preventScroll: true });
  form.dispatchEvent(new CustomEvent("everfold:unsent", { bubbles: true }));
}

function goTo(address) {
  const to = new URL(address, location.href);
  const isHere = to.pathname === location.pathname && to.search === location.search;
  location.assign(to);
  // Another place of this page alone would not be fetched.
  if (isHere && to.hash) location.reload();
}

/** Puts a page in place that was answered instead of an address: a form with what was refused, or what is shown once. */
function place(page, form) {
  form.closest("dialog")?.close();
  busy.delete(form);
  // Fetched again, it would lose what it says.
  if (page.body.dataset.live === undefined) hold();
  document.title = page.title;
  showIcon(page.head.innerHTML);
  for (const part of ["header.frame", "main"]) {
    document.querySelector(part).replaceWith(document.adoptNode(page.querySelector(part)));
  }
  document.dispatchEvent(new CustomEvent("everfold:refreshed"));
  const first = document.querySelector("main :is([aria-invalid=true], .problem)") ?? document.querySelector("main h1");
  if (!first.matches("input, select, textarea")) first.tabIndex = -1;
  first.focus();
  first.scrollIntoView({ block: "center" });
}

// What names the caller in the frame of a page.
const CALLER = "header.frame .menu-name";

/**
 * Gives the forms of this page the secret of the session that this browser has now, which may be another one than the
 * page was loaded in. Gives the caller's name, and whether it is the former one; nothing where there is no session.
 */
async function renew() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
  if (!answer?.ok) return null;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const secret = page.querySelector("input[name=csrf]")?.value;
  const name = page.querySelector(CALLER)?.textContent;
  if (!secret || !name) return null;
  const isSame = document.querySelector(CALLER)?.textContent === name;
  document.querySelector("header.frame").replaceWith(document.adoptNode(page.querySelector("header.frame")));
  for (const field of document.querySelectorAll("input[name=csrf]")) field.value = secret;
  const over = document.getElementById("over");
  if (over) over.hidden = true;
  return { name, isSame };
}

/** Whether a form was refused for the session that its page was loaded in. */
function isOfAnotherSession(answer, problem) {
  return answer.status === 403 && (problem?.textContent.includes("EF0607") ?? false);
}

async function send(form, submitter, isRenewed = false) {
  // The button's name and value are of the form; a disabled one is not.
  const body = new URLSearchParams(new FormData(form, submitter));
  mark(form, submitter);
  let answer;
  let html;
  try {
    answer = await fetch(form.getAttribute("action") ?? "", { method: "POST", headers: { Accept: "text/html", "X-Sent-By": "script" }, body });
    html = await answer.text();
  } catch {
    stays(form, submitter, UNANSWERED);
    return;
  }
  const to = answer.headers.get("HX-Redirect");
  if (to) {
    goTo(to);
    return;
  }
  const page = new DOMParser().parseFromString(html, "text/html");
  const problem = page.querySelector(".problem");
  if (!isRenewed && isOfAnotherSession(answer, problem)) {
    const caller = await renew();
    if (caller?.isSame) {
      unmark(form);
      await send(form, submitter, true);
      return;
    }
    if (caller) {
      stays(form, submitter, `You are logged in as ${caller.name} now. Send the form again to do it under that name.`);
      return;
    }
  }
  const hasForm = [...page.querySelectorAll("main form")].some((one) => one.getAttribute("action") === form.getAttribute("action"));
  if (page.querySelector("header.frame") && (answer.ok || hasForm || !problem)) place(page, form);
  else if (problem) stays(form, submitter, document.adoptNode(problem));
  else stays(form, submitter, AWAY.includes(answer.status) ? UNANSWERED : `The server answered ${answer.status}.`);
}

/** Sends the forms of pages. */
export function sendForms() {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || !isSent(form)) return;
    event.preventDefault();
    if (!busy.has(form)) send(form, event.submitter);
  });
  // A page that is gone back to may be sent again; its key makes sure that it counts once.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) for (const form of [...busy]) unmark(form);
  });
}
