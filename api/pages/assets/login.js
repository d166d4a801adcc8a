// The login of a server that is away: the page stays with what was typed, waits, and goes on when the server is back.
// Nothing is sent by this script: the form is a page of its own, whose answer brings the cookie. Without scripts the
// browser says that nothing answered.

const PAUSE = 2000;
const WAITS = "The server does not answer. What you typed is still here; you are logged in as soon as it is back.";

/** Whether the server answers at all. */
async function answers() {
  try {
    const answer = await fetch("/healthz", { cache: "no-store", signal: AbortSignal.timeout(10000) });
    return ![502, 503, 504].includes(answer.status);
  } catch {
    return false;
  }
}

function say(form, text) {
  let said = form.querySelector(".problem");
  if (!said) {
    said = document.createElement("div");
    said.className = "problem";
    said.setAttribute("role", "alert");
    form.prepend(said);
  }
  said.textContent = text;
}

const form = document.querySelector("form");
const button = form.querySelector("button");
let waits = false;

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (waits) return;
  waits = true;
  button.setAttribute("aria-disabled", "true");
  while (!(await answers())) {
    say(form, WAITS);
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
  form.submit();
});

// A page that is gone back to may be sent again.
window.addEventListener("pageshow", () => {
  waits = false;
  button.removeAttribute("aria-disabled");
});
