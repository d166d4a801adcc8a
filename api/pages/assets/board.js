// The board: the bar of time, marks, views with names, and a tint for what changed.
import { travel } from "./time_bar.js";
import { keepViews } from "./views.js";

/** The versions of the runs that are shown, by the ids of their cards. */
function versions() {
  const shown = new Map();
  for (const card of document.querySelectorAll("[data-version]")) shown.set(card.id, card.dataset.version);
  return shown;
}

let known = versions();

/** Tints once what is not as it was. */
export function tintChanges() {
  const shown = versions();
  for (const [id, version] of shown) {
    if (known.get(id) === version) continue;
    const card = document.getElementById(id);
    card.classList.add("changed");
    card.addEventListener("animationend", () => card.classList.remove("changed"), { once: true });
  }
  known = shown;
}

/** Takes what is shown now for known. */
export function forgetChanges() {
  known = versions();
}

document.addEventListener("everfold:refreshed", tintChanges);
keepViews();
if (document.getElementById("time-bar")) travel({ tintChanges, forgetChanges });
