// Forms that start, save and schedule: what was typed is not lost by leaving.

// What a refused form holds was typed before.
let isTyped = false;
const takeTyped = () => { isTyped ||= document.querySelector("[data-leave=typed]") !== null; };

/** The form that holds what is asked about when the page is left. */
const leaves = (element) => element?.closest?.("[data-leave], form:has([data-leave])");

/** Asks before a page is left on which something was typed. */
function keepTyped() {
  takeTyped();
  document.addEventListener("input", (event) => { isTyped ||= event.target.closest?.("[data-leave]") !== null; });
  document.addEventListener("submit", (event) => { if (leaves(event.target)) isTyped = false; });
  document.addEventListener("everfold:unsent", (event) => { isTyped ||= Boolean(leaves(event.target)); });
  document.addEventListener("everfold:refreshed", takeTyped);
  window.addEventListener("beforeunload", (event) => {
    if (isTyped) event.preventDefault();
  });
}

/** Selects a line of a text. */
function showLine(text, line) {
  const lines = text.value.split("\n");
  const start = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
  text.focus();
  text.setSelectionRange(start, start + (lines[line - 1] ?? "").length);
  const height = parseFloat(getComputedStyle(text).lineHeight) || 18;
  text.scrollTop = Math.max(0, (line - 4) * height);
}

keepTyped();

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-line]");
  const text = document.getElementById("definition");
  if (!link || !text) return;
  event.preventDefault();
  showLine(text, Number(link.dataset.line));
});

// What is wrong is met first.
document.querySelector("[aria-invalid=true]")?.focus();
