// What every page runs.
import { follow } from "./live.js";
import { keepTimes } from "./times.js";
import { openDialogs } from "./dialogs.js";
import { takeKeys } from "./keys.js";
import { openPalette } from "./palette.js";

keepTimes();
openDialogs();
takeKeys();
openPalette();
follow();

// Menus close when something else is clicked.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

// A form with `data-once` is sent once: only its first answer may hold what it made.
let sent = new WeakSet();
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("form[data-once]")) return;
  if (sent.has(form)) event.preventDefault();
  else sent.add(form);
});
window.addEventListener("pageshow", (event) => {
  if (event.persisted) sent = new WeakSet();
});
