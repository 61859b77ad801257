// The view that measures: each character of a text, shaded by its surprise; and the probabilities of its labels.

import { latest, Refused, send } from "./api.js";
import { choice, element, moveByArrows, replaceTokens, tokenSpan } from "./tokens.js";

const $ = (id) => document.getElementById(id);

export function showProblem(view, error) {
  const place = $(`${view}-problem`);
  place.hidden = !error;
  if (error && !(error instanceof Refused)) throw error;
  place.textContent = error ? error.message : "";
}

export function setUpSurprise(given) {
  const heat = $("surprise-heat");
  heat.classList.add("shaded");
  moveByArrows(heat);
  const measure = latest(250, async (signal) => {
    const text = $("surprise-text").value;
    if (!text) {
      replaceTokens(heat);
      $("surprise-status").textContent = "";
      showProblem("surprise");
      return;
    }
    try {
      const result = await send("score", { ...given(), text, unknown: "drop" }, signal);
      const spans = result.tokens.map((token) => tokenSpan(token, null));
      if (spans.length) spans[0].tabIndex = 0;
      replaceTokens(heat, ...(result.given ? [element("span", "prompt", result.given)] : []), ...spans);
      const bits = result.bits_per_character;
      const measured = bits === null ? "Nothing of it is predicted." : `${bits.toFixed(2)} bits per character.`;
      $("surprise-status").textContent = [measured, ...result.notes].join(" ");
      showProblem("surprise");
    } catch (error) {
      if (signal.aborted) return;
      replaceTokens(heat);
      $("surprise-status").textContent = "";
      showProblem("surprise", error);
    }
  });
  $("surprise-text").addEventListener("input", measure);
  return measure;
}

export function setUpClassify(given) {
  const name = latest(250, async (signal) => {
    const text = $("classify-text").value;
    $("classes").replaceChildren();
    if (!text) return;
    try {
      const { probabilities, notes } = await send("classify", { run: given().run, text }, signal);
      const rows = probabilities.slice(0, 20).map(([label, share], k) => {
        const row = element("li");
        row.append(choice(label, share, k === 0, null));
        return row;
      });
      $("classes").replaceChildren(...rows);
      $("classify-status").textContent = [`Most probable: ${probabilities[0][0]}.`, ...notes].join(" ");
      showProblem("classify");
    } catch (error) {
      if (!signal.aborted) showProblem("classify", error);
    }
  });
  $("classify-text").addEventListener("input", name);
  return name;
}
