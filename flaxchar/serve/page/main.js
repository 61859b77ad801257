// The page: which run is looked at, which view is open, and what both have in common.

import { get, Refused } from "./api.js";
import { close, element } from "./tokens.js";
import { clearWritten, setUpWrite, text } from "./write.js";
import { setUpClassify, setUpSurprise } from "./surprise.js";
import { offerUnits, setUpUnits } from "./units.js";
import { showCurves } from "./curves.js";

const $ = (id) => document.getElementById(id);
const LOOK_EVERY = 4000;
const tabs = [...document.querySelectorAll("[role=tab]")];
let runs = [];

const current = () => runs.find((run) => run.name === $("run").value) ?? runs[0];

// What every request says: the run, and the label or source that its texts are written for.
function given() {
  const run = current();
  return {
    run: run.name,
    ...(run.needs_label ? { label: $("label").value } : {}),
    ...(run.needs_source ? { source: $("source").value } : {}),
  };
}

const measure = setUpSurprise(given);
const look = setUpUnits(given);
const name = setUpClassify(given);
setUpWrite(given);

function open(tab, focus = false) {
  close();
  for (const other of tabs) {
    const chosen = other === tab;
    other.setAttribute("aria-selected", String(chosen));
    other.tabIndex = chosen ? 0 : -1;
    $(other.getAttribute("aria-controls")).hidden = !chosen;
  }
  const view = tab.getAttribute("aria-controls");
  $("given").hidden = !runs.length || !(current().needs_label || current().needs_source) || ["curves", "classify"].includes(view);
  history.replaceState(null, "", `#/${view}`);
  if (focus) tab.focus();
  const box = document.getElementById(`${view}-text`);
  if (box && !box.value && text().trim()) { // what was just written is what one wants to look into
    box.value = text();
    box.dispatchEvent(new Event("input"));
  }
  if (view === "curves" && runs.length) showCurves(current().name);
}

const openTab = () => tabs.find((tab) => tab.getAttribute("aria-selected") === "true");

for (const tab of tabs) tab.addEventListener("click", () => open(tab));
$("tabs").addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const shown = tabs.filter((tab) => !tab.hidden);
  open(shown[(shown.indexOf(openTab()) + step + shown.length) % shown.length], true);
});

function describe(run) {
  const count = (number) => number.toLocaleString("en");
  const network = `${run.cell.toUpperCase()}, ${run.layers} × ${count(run.hidden)} units`;
  const size = run.parameters === null ? "" : `, ${count(run.parameters)} parameters`;
  const step = run.step === null ? "no checkpoint yet" : `checkpoint of step ${count(run.step)}`;
  const going = run.training ? `, now at ${count(run.last_step)} of ${count(run.steps)}` : "";
  $("facts").textContent = `${network}${size}; ${count(run.vocabulary)} ${run.unit === "word" ? "words" : "characters"} known; ${step}${going}`;
  $("training").hidden = !run.training;
  $("problem").hidden = !run.problem;
  $("problem").textContent = run.problem;
}

function choose() {
  const run = current();
  describe(run);
  clearWritten();
  offerUnits(run);
  $("label-field").hidden = !run.needs_label;
  $("source-field").hidden = !run.needs_source;
  $("label").replaceChildren(...run.labels.map((label) => {
    const option = element("option", "", label);
    option.value = label;
    return option;
  }));
  const usable = { "tab-write": run.writes, "tab-surprise": run.writes, "tab-units": run.writes, "tab-classify": run.classifies };
  for (const tab of tabs) tab.hidden = usable[tab.id] === false;
  open(openTab().hidden ? tabs.find((tab) => !tab.hidden) : openTab());
  refresh();
}

function refresh() {
  measure();
  look();
  name();
}

async function update() {
  try {
    const before = runs.length ? current() : null;
    runs = (await get("runs")).runs;
    if (!before) {
      $("run").replaceChildren(...runs.map((run) => {
        const option = element("option", "", run.name);
        option.value = run.name;
        return option;
      }));
      choose();
      return;
    }
    describe(current());
    if (current().step !== before.step) refresh();
    if (openTab().id === "tab-curves" && (current().training || before.training)) showCurves(current().name);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    $("problem").textContent = error.message;
    $("problem").hidden = false;
  }
}

$("run").addEventListener("change", choose);
$("label").addEventListener("change", refresh);
$("source").addEventListener("input", refresh);
window.addEventListener("resize", () => { close(); if (runs.length && openTab().id === "tab-curves") showCurves(current().name); });
const first = tabs.find((tab) => `#/${tab.getAttribute("aria-controls")}` === location.hash);
if (first) open(first);
await update();
setInterval(() => { if (!document.hidden) update(); }, LOOK_EVERY);
