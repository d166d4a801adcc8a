// Views: filters that have a name in this browser. What is shared is the address, so no server keeps them.

const KEY = "everfold.views";

function read() {
  try {
    const views = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(views) ? views.filter((view) => typeof view.name === "string" && isOwn(view.address)) : [];
  } catch {
    return [];
  }
}

/** Only a path of this server: what stands in the storage may be of another program on this host. */
function isOwn(address) {
  return typeof address === "string" && address.startsWith("/") && new URL(address, location.origin).origin === location.origin;
}

function write(views) {
  try {
    localStorage.setItem(KEY, JSON.stringify(views));
  } catch {
    // A browser without a storage forgets them.
  }
}

/** The address of this view: without the moment, without the place in the list. */
function here() {
  const query = new URLSearchParams(location.search);
  for (const name of ["at", "cursor", "f", "part"]) query.delete(name);
  const text = query.toString();
  return location.pathname + (text ? `?${text}` : "");
}

function drawn(list) {
  list.replaceChildren(...read().map((view) => {
    const item = document.createElement("li");
    const link = document.createElement("a");
    link.href = view.address;
    link.textContent = view.name;
    const forget = document.createElement("button");
    forget.type = "button";
    forget.className = "forget";
    forget.textContent = "×";
    forget.setAttribute("aria-label", `Forget the view ${view.name}`);
    forget.addEventListener("click", (event) => {
      event.stopPropagation();
      write(read().filter((other) => other.name !== view.name));
      drawn(list);
    });
    item.append(link, forget);
    return item;
  }));
}

/** Shows the saved views, and saves more. */
export function keepViews() {
  const list = document.getElementById("views-own");
  const form = document.getElementById("views-save");
  if (!list || !form) return;
  drawn(list);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const name = form.elements.name.value.trim();
    if (!name) return;
    write([...read().filter((view) => view.name !== name), { name, address: here() }].slice(-30));
    form.reset();
    drawn(list);
  });
}
