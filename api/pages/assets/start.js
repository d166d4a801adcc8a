// Forms that start, save and schedule: one click does one thing, and what was typed is not lost by leaving.

/** A form with `data-once` is sent once; its key makes sure of it, the button shows it. */
function sendOnce(form) {
  let isSent = false;
  form.addEventListener("submit", (event) => {
    if (isSent) {
      event.preventDefault();
      return;
    }
    isSent = true;
    // The pressed button's value must still be sent: it is disabled when the form is on its way.
    setTimeout(() => {
      for (const button of form.querySelectorAll("button")) {
        button.disabled = true;
        if (button.dataset.busy) button.textContent = button.dataset.busy;
      }
    });
  });
  window.addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    isSent = false;
    for (const button of form.querySelectorAll("button")) button.disabled = false;
  });
}

/** Asks before a page is left on which something was typed. */
function keepTyped(element) {
  // What a refused form holds was typed before.
  let isTyped = element.dataset.leave === "typed";
  element.addEventListener("input", () => { isTyped = true; });
  const form = element instanceof HTMLFormElement ? element : element.form;
  form?.addEventListener("submit", () => { isTyped = false; });
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

for (const form of document.querySelectorAll("form[data-once]")) sendOnce(form);
for (const element of document.querySelectorAll("[data-leave]")) keepTyped(element);

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-line]");
  const text = document.getElementById("definition");
  if (!link || !text) return;
  event.preventDefault();
  showLine(text, Number(link.dataset.line));
});

// What is wrong is met first.
document.querySelector("[aria-invalid=true]")?.focus();
