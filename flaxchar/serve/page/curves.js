// The view of a run's losses: training and held-out bits per character, the baselines and the entropy floor.

import { get } from "./api.js";
import { element } from "./tokens.js";
import { showProblem } from "./surprise.js";

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const TICKS = [0.25, 0.5, 1, 2, 4, 8, 16, 32];

export async function showCurves(name) {
  try {
    const { curves } = await get(`runs/${encodeURIComponent(name)}/curves`);
    draw(curves);
    showProblem("curves");
  } catch (error) {
    showProblem("curves", error);
  }
}

function draw(curves) {
  $("curves-title").textContent = `Bits per ${curves.unit}`;
  const all = [...curves.training, ...curves.held_out].map(([, bits]) => bits);
  const last = curves.held_out.at(-1);
  const step = Math.max(0, ...curves.training.map(([k]) => k), ...curves.held_out.map(([k]) => k));
  const told = last ? `, held out ${last[1].toFixed(4)} at step ${last[0].toLocaleString("en")}` : "";
  $("curves-status").textContent = all.length
    ? `Step ${step.toLocaleString("en")} of ${curves.steps.toLocaleString("en")}${told}. The scale is logarithmic.`
    : "There are no losses yet.";
  table(curves);
  chart(curves, all);
}

function table(curves) {
  const head = element("tr");
  head.append(element("th", "", "step"), element("th", "", `held-out bits per ${curves.unit}`));
  const rows = curves.held_out.map(([step, bits]) => {
    const row = element("tr");
    row.append(element("td", "", step.toLocaleString("en")), element("td", "", bits.toFixed(4)));
    return row;
  });
  $("curves-table").replaceChildren(head, ...rows);
}

function chart(curves, all) {
  const svg = $("chart");
  const width = Math.max(280, Math.min(1100, svg.parentElement.clientWidth || 800));
  const height = width < 600 ? 300 : 420;
  const [left, right, top, bottom] = [40, width < 600 ? 12 : 215, 14, 34];
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren();
  if (!all.length) return;
  const compared = Object.entries(curves.baselines).filter(([, bits]) => bits > 0 && Number.isFinite(bits));
  const low = Math.min(...all, curves.floor ?? Infinity) * 0.93;
  const high = Math.max(...all) * 1.05;
  const x = (step) => left + (step / Math.max(1, curves.steps)) * (width - left - right);
  const y = (bits) => top + (Math.log(high / bits) / Math.log(high / low)) * (height - top - bottom);
  const add = (name, attributes, text) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    svg.append(made);
  };
  for (const bits of TICKS.filter((tick) => tick > low && tick < high)) {
    add("line", { class: "rule", x1: left, x2: width - right, y1: y(bits), y2: y(bits) });
    add("text", { x: left - 6, y: y(bits) + 4, "text-anchor": "end" }, String(bits));
  }
  const parts = Math.min(curves.steps, width < 600 ? 2 : 4);
  for (let k = 0; k <= parts; k += 1) {
    const step = Math.round((curves.steps * k) / Math.max(1, parts));
    const anchor = k === 0 ? "start" : k === parts ? "end" : "middle";
    add("text", { x: x(step), y: height - 10, "text-anchor": anchor }, k ? step.toLocaleString("en") : "step 0");
  }
  const lines = compared.map(([name, bits]) => [name, bits, "baseline"]);
  if (curves.floor) lines.push(["entropy floor", curves.floor, "floor"]);
  let free = Infinity; // labels stand beside the chart, from the lowest up, without overlap
  for (const [name, bits, kind] of lines.filter(([, b]) => b > low && b < high).sort((a, b) => a[1] - b[1])) {
    add("line", { class: kind, x1: left, x2: width - right, y1: y(bits), y2: y(bits) });
    const at = Math.min(y(bits) + 4, free - 13);
    free = at;
    if (width >= 600) add("text", { x: width - right + 8, y: at }, `${name} ${bits.toFixed(2)}`);
  }
  const points = (values) => values.filter(([, bits]) => bits > 0).map(([step, bits]) => `${x(step)},${y(bits)}`).join(" ");
  add("polyline", { class: "training", points: points(curves.training) });
  add("polyline", { class: "held-out", points: points(curves.held_out) });
  for (const [step, bits] of curves.held_out) add("circle", { class: "dot", cx: x(step), cy: y(bits), r: 3.5 });
  $("floor-name").hidden = !curves.floor;
  // On a narrow screen the lines have no room for their names.
  $("compared").replaceChildren(...(width < 600 ? lines.map(([name, bits]) => element("li", "", `${name} ${bits.toFixed(2)}`)) : []));
}
