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

// Menus close when something else is clicked.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
