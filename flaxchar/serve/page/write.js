// The view that writes: a prompt, the text as it comes, and its alternatives, from which one can go on.

import { generate, Refused } from "./api.js";
import { element, moveByArrows, replaceTokens, tokenSpan } from "./tokens.js";

const $ = (id) => document.getElementById(id);
const written = $("written");
const MOST_SIZE = 4000;
const ENDS = {
  eos: "The model has ended the text.",
  size: "The text is as long as it may be.",
  closing: "The server is closing.",
  error: "The device has failed; try again.",
};
let prompt = "";
let tokens = [];
let underWay = null; // the controller of the text that is being written

export function setUpWrite(given) {
  moveByArrows(written);
  for (const id of ["temperature", "top-p", "min-p"]) {
    const show = () => { document.querySelector(`output[for=${id}]`).textContent = Number($(id).value).toFixed(2); };
    $(id).addEventListener("input", show);
    show();
  }
  $("settings").open = window.innerWidth > 896;
  $("shade").addEventListener("change", () => written.classList.toggle("shaded", $("shade").checked));
  $("write-form").addEventListener("submit", (event) => {
    event.preventDefault();
    if ($("reseed").checked) $("seed").value = crypto.getRandomValues(new Uint32Array(1))[0];
    prompt = $("prompt").value;
    tokens = [];
    begin(given);
  });
  $("prompt").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      $("write-form").requestSubmit();
    }
  });
  $("stop").addEventListener("click", stop);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") stop(); });
  $("go-on").addEventListener("click", () => begin(given));
}

// Forget the text, because another run is looked at.
export function clearWritten() {
  stop();
  prompt = "";
  tokens = [];
  replaceTokens(written);
  $("write-status").textContent = "";
  $("write-aloud").textContent = "";
  $("go-on").disabled = true;
}

export function stop() {
  if (underWay) finish(underWay, "Stopped.");
}

// The prompt and what was written after it.
export function text() {
  return prompt + tokens.map((token) => token.text).join("");
}

function settings() {
  return {
    temperature: Number($("temperature").value),
    top_k: Math.max(0, Math.round(Number($("top-k").value))),
    top_p: Number($("top-p").value),
    min_p: Number($("min-p").value),
    seed: Math.max(0, Math.round(Number($("seed").value))),
  };
}

// Go on from the text that is there.
async function begin(given) {
  stop();
  const controller = new AbortController();
  underWay = controller;
  const length = [...text()].length;
  const asked = Math.min(MOST_SIZE, Math.max(1, Math.round(Number($("size").value)) || 1));
  const size = tokens.length && length >= asked ? Math.min(MOST_SIZE, length + 200) : asked;
  $("write-problem").hidden = true;
  $("write-status").textContent = "Writing…";
  $("stop").disabled = false;
  $("go-on").disabled = true;
  draw(given);
  written.classList.add("caret");
  const waiting = [];
  let end = null;
  const frame = () => {
    if (underWay !== controller) return;
    // A person sees each character come; the more of them wait, the more come at once.
    const many = matchMedia("(prefers-reduced-motion: reduce)").matches || document.hidden ? waiting.length : 1 + waiting.length / 30;
    for (const token of waiting.splice(0, many)) add(token, given);
    if (end && !waiting.length) {
      if (end.reason === "eos") add({ text: "", ...lastOf(end) }, given);
      finish(controller, ENDS[end.reason], end.reason === "size");
    } else {
      window.setTimeout(frame, 16);
    }
  };
  try {
    const on = {
      start: (data) => {
        if (!tokens.length && data.prompt !== prompt) { prompt = data.prompt; draw(given); }
        if (data.notes.length) $("write-status").textContent = data.notes.join(" ");
        frame();
      },
      tokens: (data) => waiting.push(...data.tokens),
      end: (data) => { end = data; },
    };
    await generate({ ...given(), ...settings(), prompt: text(), size }, on, controller.signal);
    if (!end) end = { reason: "closing" };
  } catch (error) {
    if (controller.signal.aborted) return;
    finish(controller, "");
    $("write-problem").textContent = error instanceof Refused ? error.message : "The connection was lost.";
    $("write-problem").hidden = false;
  }
}

function lastOf(end) {
  const own = end.alternatives.find(([text]) => text === "");
  const probability = own ? own[1] : 0.001;
  return { probability, bits: -Math.log2(probability), alternatives: end.alternatives };
}

function finish(controller, sentence, more = false) {
  if (underWay !== controller) return;
  underWay = null;
  controller.abort();
  written.classList.remove("caret");
  $("stop").disabled = true;
  $("go-on").disabled = !(tokens.length && tokens.at(-1).text !== "" && (more || sentence === "Stopped."));
  const count = tokens.filter((token) => token.text).length;
  const unit = tokens.every((token) => [...token.text].length <= 1) ? "characters" : "words";
  $("write-status").textContent = sentence && `${sentence} ${count} ${unit} written, seed ${$("seed").value}.`;
  $("write-aloud").textContent = text();
}

function add(token, given) {
  tokens.push(token);
  written.append(span(tokens.length - 1, given));
}

function draw(given) {
  const begin = prompt ? [element("span", "prompt", prompt)] : [];
  replaceTokens(written, ...begin, ...tokens.map((_, k) => span(k, given)));
}

function span(k, given) {
  const token = tokens[k];
  const made = tokenSpan(token, (choice, probability) => {
    stop();
    const picked = { ...token, text: choice, probability, bits: -Math.log2(Math.max(probability, 1e-9)), picked: true };
    tokens = [...tokens.slice(0, k), picked];
    if (choice === "") {
      draw(given);
      $("write-status").textContent = "You have ended the text.";
      $("go-on").disabled = true;
    } else {
      begin(given);
    }
  });
  if (k === 0) made.tabIndex = 0;
  return made;
}
