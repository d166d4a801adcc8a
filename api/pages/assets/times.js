// Times in the viewer's zone, and ages that go on.

const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** How long before a moment a time is, in one unit, as the server writes it; before now, where no moment is given. */
export function age(time, then) {
  const moment = then ? Date.parse(then) : Date.now();
  const seconds = Math.trunc((moment - Date.parse(time)) / 1000);
  const size = Math.abs(seconds);
  if (size < 2) return "now";
  // What is to come is told by the nearest unit.
  const units = (unit) => Math.trunc((size + (seconds < 0 ? unit / 2 : 0)) / unit);
  const text = size < 60 ? `${size} s` : size < 3600 ? `${units(60)} m`
    : size < 86400 ? `${units(3600)} h` : `${units(86400)} d`;
  return seconds < 0 ? `in ${text}` : text;
}

/** The same for a sentence. */
function longAge(time, then) {
  const text = age(time, then);
  return text === "now" ? "just now" : text.startsWith("in ") ? text : `${text} ago`;
}

function written(root) {
  for (const time of root.querySelectorAll("time[data-age]")) {
    if (Number.isNaN(Date.parse(time.dateTime))) continue;
    const then = time.dataset.then;
    const text = time.dataset.age === "ago" ? longAge(time.dateTime, then) : age(time.dateTime, then);
    if (time.textContent !== text) time.textContent = text;
    time.title = exact.format(new Date(time.dateTime));
  }
  for (const time of root.querySelectorAll("time[data-exact]")) {
    if (Number.isNaN(Date.parse(time.dateTime))) continue;
    const text = exact.format(new Date(time.dateTime));
    if (time.textContent !== text) time.textContent = text;
    time.title = `${age(time.dateTime, time.dataset.then)} · ${time.dateTime}`;
  }
  // What is told otherwise, as a time since the begin, says its moment, too.
  for (const time of root.querySelectorAll("time[datetime]:not([data-age], [data-exact], [data-zoned])")) {
    if (Number.isNaN(Date.parse(time.dateTime))) continue;
    time.dataset.zoned = "";
    // Of a link the rest of what it says: its first words are the same moment in UTC.
    const more = time.closest("a[title]")?.title.split(" · ").slice(1) ?? [];
    time.title = [exact.format(new Date(time.dateTime)), ...more].join(" · ");
  }
}

/** Writes all times of the page anew, such as those that just came. */
export function writeTimes() {
  written(document);
}

/** Keeps all times of the page as they should be. */
export function keepTimes() {
  const now = () => written(document);
  now();
  setInterval(now, 5000);
  document.addEventListener("everfold:refreshed", now);
  // Times that people type are of their zone.
  document.addEventListener("submit", (event) => {
    const zone = event.target.querySelector("input[data-zone]");
    if (zone) zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone;
  }, true);
}
