// What every page runs.
import { follow } from "./live.js";
import { keepTimes } from "./times.js";
import { openDialogs } from "./dialogs.js";
import { takeKeys } from "./keys.js";
import { openPalette } from "./palette.js";
import { sendForms } from "./send.js";

keepTimes();
openDialogs();
sendForms();
takeKeys();
openPalette();
follow();

// On a narrow screen a row of tabs scrolls: the one that is shown is in sight.
for (const row of document.querySelectorAll(".tabs, header.frame nav")) {
  const here = row.querySelector("[aria-current]");
  if (here) row.scrollLeft = here.offsetLeft - row.offsetLeft - (row.clientWidth - here.offsetWidth) / 2;
}

// In a list that scrolls what is chosen is in sight, and of a plan that is wider than its place the first step.
for (const list of document.querySelectorAll(".log-attempts ol")) {
  const here = list.querySelector("[aria-current]");
  if (here) list.scrollTop += here.getBoundingClientRect().top - list.getBoundingClientRect().top - (list.clientHeight - here.offsetHeight) / 2;
}
const plan = document.querySelector(".plan-graph");
const begin = plan?.querySelector(".node:not(.standby)");
if (begin && plan.scrollWidth > plan.clientWidth) {
  const [box, place] = [begin.getBoundingClientRect(), plan.getBoundingClientRect()];
  plan.scrollLeft += (box.left + box.right - place.left - place.right) / 2;
}

// A text that is cut says the whole of it where the pointer is, or the keyboard's focus.
function sayWhole(event) {
  for (let part = event.target; part instanceof HTMLElement && part !== document.body; part = part.parentElement) {
    const wasCut = part.dataset.cut !== undefined;
    if (part.title && !wasCut) return;
    const isCut = getComputedStyle(part).overflow.includes("hidden")
      && (part.scrollWidth > part.clientWidth + 1 || part.scrollHeight > part.clientHeight + 2);
    if (isCut) {
      part.dataset.cut = "";
      part.title = part.textContent.trim().replace(/\s+/g, " ").slice(0, 500);
      return;
    }
    if (wasCut) {
      delete part.dataset.cut;
      part.removeAttribute("title");
    }
  }
}
document.addEventListener("pointerover", sayWhole);
document.addEventListener("focusin", sayWhole);

// Menus close when something else is clicked.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
