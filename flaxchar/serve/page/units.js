// The view that looks inside: one unit along a text, and all units of its layer after the last character.

import { latest, send } from "./api.js";
import { element } from "./tokens.js";
import { showProblem } from "./surprise.js";

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const MOST_CELLS = 1024;

function paint(target, value) {
  target.style.setProperty("--pole", value >= 0 ? "var(--hot)" : "var(--cold)");
  target.style.setProperty("--heat", Math.min(1, Math.abs(value)).toFixed(3));
}

export function setUpUnits(given) {
  const painted = $("units-paint");
  painted.classList.add("painted");
  const look = latest(60, async (signal) => {
    const text = $("units-text").value;
    const layer = Number($("layer").value);
    const unit = Math.round(Number($("unit").value));
    markCell(unit);
    if (!text) {
      clear();
      showProblem("units");
      return;
    }
    try {
      const result = await send("score", { ...given(), text, unknown: "drop", units: [[layer, unit]], layer }, signal);
      show(result, unit);
      showProblem("units");
    } catch (error) {
      if (signal.aborted) return;
      clear();
      showProblem("units", error);
    }
  });

  function clear() {
    painted.replaceChildren();
    $("units-trace").replaceChildren();
    $("units-status").textContent = "";
  }

  function show(result, unit) {
    const seen = result.tokens.filter((token) => token.text);
    const values = seen.map((token) => token.activations[0]);
    const first = result.given ? [element("span", "prompt", result.given)] : [];
    painted.replaceChildren(...first, ...seen.map((token, k) => {
      const span = element("span", "token", token.text === "\n" ? "\u21b5\n" : token.text);
      if (values[k] !== null) {
        paint(span, values[k]);
        span.title = values[k].toFixed(2);
      }
      return span;
    }));
    drawTrace(values.filter((value) => value !== null));
    const last = values.filter((value) => value !== null).at(-1);
    const state = last === undefined ? [] : [`Unit ${unit} is at ${last.toFixed(2)} after the last character.`];
    $("units-status").textContent = [...state, ...result.notes].join(" ");
    const cells = $("grid").children;
    for (let k = 0; k < cells.length && k < result.state.length; k += 1) paint(cells[k], result.state[k]);
  }

  $("units-text").addEventListener("input", look);
  $("unit").addEventListener("input", look);
  $("layer").addEventListener("change", look);
  $("grid").addEventListener("click", (event) => {
    const cell = event.target.closest(".cell");
    if (!cell) return;
    $("unit").value = cell.dataset.unit;
    look();
  });
  $("grid").addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const next = step && $("grid").children[Number($("unit").value) + step];
    if (!next) return;
    event.preventDefault();
    $("unit").value = next.dataset.unit;
    markCell(Number(next.dataset.unit));
    next.focus();
    look();
  });
  return look;
}

// The layers and units of a run.
export function offerUnits(run) {
  $("layer").replaceChildren(...Array.from({ length: run.layers }, (_, k) => {
    const option = element("option", "", String(k));
    option.value = String(k);
    return option;
  }));
  $("unit").max = String(run.hidden - 1);
  if (Number($("unit").value) >= run.hidden) $("unit").value = "0";
  $("grid").replaceChildren(...Array.from({ length: Math.min(run.hidden, MOST_CELLS) }, (_, k) => {
    const cell = element("button", "cell");
    cell.type = "button";
    cell.dataset.unit = String(k);
    cell.title = `Unit ${k}`;
    cell.setAttribute("aria-label", `Unit ${k}`);
    return cell;
  }));
  markCell(Number($("unit").value));
}

function markCell(unit) {
  for (const cell of $("grid").children) {
    const chosen = Number(cell.dataset.unit) === unit;
    cell.setAttribute("aria-pressed", String(chosen));
    cell.tabIndex = chosen ? 0 : -1;
  }
}

function drawTrace(values) {
  const [width, height, edge] = [600, 90, 6];
  const zero = document.createElementNS(SVG, "line");
  for (const [name, value] of [["x1", 0], ["x2", width], ["y1", height / 2], ["y2", height / 2]]) zero.setAttribute(name, value);
  zero.setAttribute("class", "zero");
  const most = Math.max(1, ...values.map(Math.abs));
  const points = values.map((value, k) => {
    const x = values.length > 1 ? (k * width) / (values.length - 1) : width / 2;
    return `${x.toFixed(1)},${(height / 2 - (value / most) * (height / 2 - edge)).toFixed(1)}`;
  });
  const line = document.createElementNS(SVG, "polyline");
  line.setAttribute("class", "line");
  line.setAttribute("points", points.join(" "));
  $("units-trace").replaceChildren(zero, line);
}
