
// The page around the model of model.js: it reads and writes text, and shows surprise and units.

// ------------------------------------------------------------------------------------------------------------- text

const idOf = new Map(model.tokens.flatMap((token, k) => (token === null ? [] : [[token, k + 1]])));
const named = (id) => {
  if (id === model.eos) return "end of text";
  if (id === 0) return "padding";
  if (id === model.unknown) return "unknown";
  const token = model.tokens[id - 1];
  return { " ": "space", "\n": "line feed", "\t": "tab" }[token] ?? token ?? "other";
};

// What the model knows of a character that it reads: its bits, the likeliest ids, and the units after it.
function look(token, id, before, after) {
  const record = { token, id, bits: null, likely: [], units: after && after.carry.map(({ h }) => Float32Array.from(h)) };
  if (before.logits && id !== undefined) {
    const probabilities = softmax(before.logits);
    record.bits = -Math.log2(probabilities[id]);
    record.likely = Array.from(probabilities.keys())
      .sort((a, b) => probabilities[b] - probabilities[a])
      .slice(0, 5)
      .map((k) => [k, probabilities[k]]);
  }
  return record;
}

let records = [], chosen = -1, job = 0;
const pause = () => new Promise((resolve) => setTimeout(resolve));

// Read the text, character by character. Returns the state after it; null if another job began meanwhile.
async function read(text, mine) {
  const { start } = beginnings.get(element("label").value);
  let state = feed(start, { logits: null, carry: initialCarry() }), rested = performance.now();
  show([]);
  for (const token of model.normalize ? text.normalize(model.normalize) : text) {
    const id = idOf.get(token) ?? model.unknown ?? undefined;
    const after = id === undefined ? null : step(id, state.carry);
    add(look(token, id, state, after));
    state = after ?? state;
    if (performance.now() - rested > 30) {
      await pause();
      if (job !== mine) return null;
      rested = performance.now();
    }
  }
  return state;
}

async function readTyped() {
  const mine = ++job, text = element("text").value;
  const state = await read(text, mine);
  if (state === null) return;
  if (text && !model.running) add(look("", model.eos, state, null));
  report();
}

async function write() {
  const mine = ++job, text = element("text").value;
  busy(true);
  let state = await read(text, mine);
  if (state === null) return;
  const { begin } = beginnings.get(element("label").value);
  if (!text) state = feed(begin, { logits: null, carry: initialCarry() });
  let beginning = !text && model.running, rested = performance.now();
  for (let count = Array.from(text).length; count < number("size"); count++) {
    const id = draw(drawingProbabilities(state.logits, options()));
    const before = state;
    if (id === model.eos) {
      add(look("", id, before, null));
      break;
    }
    state = step(id, state.carry);
    const token = model.tokens[id - 1];
    beginning = beginning && token === "\n"; // line feeds before a text are not part of it
    if (!beginning) {
      element("text").value += token;
      add(look(token, id, before, state));
    }
    if (performance.now() - rested > 30) {
      await pause();
      if (job !== mine) return;
      rested = performance.now();
    }
  }
  busy(false);
  report();
}

// ------------------------------------------------------------------------------------------------------------- page

function number(id) {
  const input = element(id), value = input.valueAsNumber;
  const fallback = Number(input.defaultValue);
  const bounded = Math.min(Math.max(Number.isFinite(value) ? value : fallback, input.min), input.max || Infinity);
  return input.step === "1" ? Math.trunc(bounded) : bounded;
}

const options = () => ({ temperature: number("temperature"), topK: number("top-k"), topP: number("top-p") });

function busy(writing) {
  element("write").textContent = writing ? "Stop" : "Write";
  if (writing) element("status").textContent = "writing …";
}

function show(all) {
  records = [];
  chosen = -1;
  for (const id of ["surprise", "firing", "likely", "strongest"]) element(id).replaceChildren();
  element("strongest-name").hidden = true;
  element("detail").textContent = "Point at a character, or move with the arrow keys, to see what the model expected.";
  all.forEach(add);
}

function add(record) {
  records.push(record);
  for (const id of ["surprise", "firing"]) {
    const span = document.createElement("span");
    span.textContent = record.token === "\n" ? "↵\n" : record.id === model.eos ? "∎" : record.token;
    if (record.id === undefined) span.className = "left-out";
    element(id).append(span);
    element(id).setAttribute("aria-valuemax", records.length);
  }
  const last = element("surprise").lastChild;
  last.style.setProperty("--share", Math.min((record.bits ?? 0) / 8, 1).toFixed(3));
  paint(records.length - 1);
}

// Colour the unit's text at one character.
function paint(index) {
  const units = records[index].units, span = element("firing").childNodes[index];
  const value = units ? units[Number(element("layer").value)][number("unit")] : 0;
  span.style.setProperty("--share", Math.min(Math.abs(value), 1).toFixed(3));
  span.classList.toggle("low", value < 0);
}

function choose(index) {
  if (index < 0 || index >= records.length) return;
  for (const id of ["surprise", "firing"]) {
    element(id).childNodes[chosen]?.classList.remove("chosen");
    element(id).childNodes[index].classList.add("chosen");
    element(id).setAttribute("aria-valuenow", index + 1);
  }
  chosen = index;
  const record = records[index], name = record.id === undefined ? record.token : named(record.id);
  const percent = (share) => `${(100 * share).toFixed(share < 0.01 ? 2 : 0)} %`;
  const surprise =
    record.id === undefined ? "not known to the model, and left out"
    : record.bits === null ? "given, not predicted"
    : `${record.bits.toFixed(2)} bits, probability ${percent(2 ** -record.bits)}`;
  element("detail").textContent = `${name}: ${surprise}`;
  element("likely").replaceChildren(...record.likely.map(([id, probability]) => {
    const row = document.createElement("li"), token = document.createElement("b");
    const share = document.createElement("span"), bar = document.createElement("i");
    token.textContent = named(id);
    share.textContent = percent(probability);
    bar.style.setProperty("--share", probability.toFixed(4));
    row.append(token, share, bar);
    return row;
  }));
  const units = record.units?.[Number(element("layer").value)] ?? [];
  const order = Array.from(units.keys()).sort((a, b) => Math.abs(units[b]) - Math.abs(units[a])).slice(0, 8);
  element("strongest-name").hidden = order.length === 0;
  element("strongest").replaceChildren(...order.map((unit) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = `${unit}: ${units[unit].toFixed(2)}`;
    button.addEventListener("click", () => {
      element("unit").value = unit;
      repaint();
    });
    return button;
  }));
  element("surprise").setAttribute("aria-valuetext", element("detail").textContent);
  const value = units[number("unit")];
  element("firing").setAttribute("aria-valuetext", `${name}: ${value === undefined ? "none" : value.toFixed(2)}`);
}

function repaint() {
  records.forEach((_, index) => paint(index));
  choose(chosen);
}

// One line about the whole text.
function report() {
  const counted = records.filter(({ bits }) => bits !== null);
  const leftOut = new Set(records.filter(({ id }) => id === undefined).map(({ token }) => token));
  const bits = counted.reduce((sum, record) => sum + record.bits, 0) / counted.length;
  const sentence = counted.length ? `${bits.toFixed(3)} bits/char over ${counted.length} characters` : "";
  const missing = leftOut.size ? `; left out, for the model does not know them: ${[...leftOut].slice(0, 8).join(" ")}` : "";
  element("status").textContent = sentence + missing;
}

for (const [label] of model.beginnings) element("label").append(new Option(label, label));
for (let number = 0; number < model.layers; number++) element("layer").append(new Option(number, number));
element("label").parentElement.hidden = model.beginnings.length === 1;
element("layer").parentElement.hidden = model.layers === 1;
element("unit").max = model.hidden - 1;
element("text").addEventListener("input", () => (busy(false), readTyped()));
element("label").addEventListener("change", () => (busy(false), readTyped()));
element("layer").addEventListener("change", repaint);
element("unit").addEventListener("input", repaint);
element("write").addEventListener("click", () => {
  if (element("write").textContent === "Write") return write();
  job++;
  busy(false);
  report();
});
element("clear").addEventListener("click", () => {
  element("text").value = "";
  busy(false);
  readTyped();
  element("text").focus();
});
for (const id of ["surprise", "firing"]) {
  const at = (event) => choose(Array.prototype.indexOf.call(element(id).childNodes, event.target));
  element(id).addEventListener("pointerover", at);
  element(id).addEventListener("click", at);
  element(id).addEventListener("keydown", (event) => {
    const to = { ArrowLeft: chosen - 1, ArrowRight: chosen + 1, Home: 0, End: records.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    choose(to);
  });
}
