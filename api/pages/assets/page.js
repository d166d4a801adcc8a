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

// Menus close when something else is clicked.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
