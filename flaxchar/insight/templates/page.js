"use strict";
// Shows the alternatives of one character: under the mouse, tapped, or chosen with the arrow keys. All text is set by
// textContent, never as HTML.
const panel = document.getElementById("panel");
const shown = JSON.parse(document.getElementById("alternatives").textContent);
let here = null;

function element(name, text) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  return made;
}

function percent(probability) {
  const value = 100 * probability;
  return (value >= 10 ? value.toFixed(0) : value >= 0.1 ? value.toFixed(1) : "< 0.1") + " %";
}

function show(cell) {
  if (!cell || cell === here) return;
  if (here) here.classList.remove("here");
  here = cell;
  cell.classList.add("here");
  const text = cell.parentElement;
  const steps = shown[text.dataset.shown][Array.prototype.indexOf.call(text.children, cell)];
  panel.replaceChildren();
  if (!steps) return;
  for (const [token, bits, alternatives] of steps) {
    const line = element("p");
    line.append(element("code", token), ` ${bits.toFixed(1)} bits, probability ${percent(2 ** -bits)}. Likeliest:`);
    const list = element("ol");
    for (const [name, probability] of alternatives) {
      const item = element("li");
      item.append(element("code", name), element("span", percent(probability)));
      list.append(item);
    }
    panel.append(line, list);
  }
}

for (const text of document.querySelectorAll(".text[data-shown]")) {
  text.tabIndex = 0;
  const cell = (event) => (event.target !== text && text.contains(event.target) ? event.target : null);
  text.addEventListener("mouseover", (event) => show(cell(event)));
  text.addEventListener("click", (event) => show(cell(event)));
  text.addEventListener("focus", () => { if (!text.contains(here)) show(text.firstElementChild); });
  text.addEventListener("keydown", (event) => {
    const turn = getComputedStyle(text).direction === "rtl" ? -1 : 1;
    const step = { ArrowRight: turn, ArrowLeft: -turn, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined || !text.contains(here)) return;
    event.preventDefault();
    const cells = text.children;
    const at = Array.prototype.indexOf.call(cells, here) + step;
    show(cells[Math.max(0, Math.min(cells.length - 1, at))]);
  });
}
