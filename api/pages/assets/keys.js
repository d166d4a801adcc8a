// Keys of single letters, which no field takes.

const keys = new Map();

/** Does something when a key is pressed outside of fields. A key that decides does it `once`, however long it is held. */
export function onKey(key, act, { once = false } = {}) {
  keys.set(key, { act, once });
}

/** Listens for keys. */
export function takeKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest?.("input:not([type=range]), textarea, select, [contenteditable]")) return;
    if (document.querySelector("dialog[open]")) return;
    const known = keys.get(event.key);
    if (!known) return;
    event.preventDefault();
    // A held key was pressed for what stood there then: it decides nothing that came since.
    if (event.repeat && known.once) return;
    known.act(event);
  });
}
