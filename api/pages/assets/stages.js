// Says how many stages stand beyond the edge of the window, and brings them into sight.

/** The columns, which a fetch of the page may replace. */
const columns = () => document.getElementById("columns");

/** The columns that are not whole in sight: those to the left, those to the right. */
function beyond(row) {
  const place = row.getBoundingClientRect();
  const all = [...row.querySelectorAll(".column")];
  const box = (column) => column.getBoundingClientRect();
  return [
    all.filter((column) => box(column).left < place.left - 2),
    all.filter((column) => box(column).right > place.right + 2),
  ];
}

function say() {
  const [button, row] = [document.getElementById("more-stages"), columns()];
  if (!button) return;
  // Where columns stand below each other none is beyond the edge.
  const [left, right] = row && row.scrollWidth > row.clientWidth + 2 ? beyond(row) : [[], []];
  const count = (side, arrow) => (side.length > 0 ? `${side.length} more ${side.length === 1 ? "stage" : "stages"} ${arrow}` : "");
  const words = right.length > 0 ? count(right, "→") : count(left, "←");
  button.hidden = words === "";
  if (button.textContent !== words) button.textContent = words;
}

document.addEventListener("click", (event) => {
  if (!event.target.closest("#more-stages")) return;
  const row = columns();
  const [left, right] = beyond(row);
  const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
  row.scrollTo({ left: right.length > 0 ? row.scrollLeft + row.clientWidth * 0.8 : left.length > 0 ? 0 : row.scrollLeft, behavior });
});
document.addEventListener("scroll", say, { capture: true, passive: true });
new ResizeObserver(say).observe(document.documentElement);
new MutationObserver(say).observe(document.querySelector("main"), { childList: true, subtree: true });
say();
