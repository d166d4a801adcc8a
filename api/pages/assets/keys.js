// Keys of single letters, which no field takes.

const keys = new Map();

/** Does something when a key is pressed outside of fields. */
export function onKey(key, act) {
  keys.set(key, act);
}

/** Listens for keys. */
export function takeKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest?.("input:not([type=range]), textarea, select, [contenteditable]")) return;
    if (document.querySelector("dialog[open]")) return;
    const act = keys.get(event.key);
    if (!act) return;
    event.preventDefault();
    act(event);
  });
}
