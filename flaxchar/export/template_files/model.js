
"use strict";
// The model in plain JavaScript: its weights, one step of the recurrence, and the drawing of characters.

const element = (id) => document.getElementById(id);
const model = JSON.parse(element("model").textContent);
const beginnings = new Map(model.beginnings);

// ------------------------------------------------------------------------------------------------- the recurrence
// Arrays are rows of matrices one after another, as in flaxchar. Sums are double, weights float32.

const arrays = (() => {
  const bytes = Uint8Array.from(atob(element("weights").textContent), (c) => c.charCodeAt(0));
  const all = new Float32Array(bytes.buffer);
  const result = {};
  let offset = 0;
  for (const [name, size] of model.arrays) {
    result[name] = all.subarray(offset, offset + size);
    offset += size;
  }
  return result;
})();

const sigmoid = (x) => 1 / (1 + Math.exp(-x));
const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

// out += vector · matrix, for a matrix [vector.length, out.length].
function addProduct(out, vector, matrix) {
  const columns = out.length;
  for (let i = 0; i < vector.length; i++) {
    const value = vector[i];
    for (let j = 0, k = i * columns; j < columns; j++, k++) out[j] += value * matrix[k];
  }
  return out;
}

// Each cell: x W + b, the recurrent weights and the state before → the state after.
const CELLS = {
  lstm(a, weights, before) {
    addProduct(a, before.h, weights("recurrent_kernel"));
    const units = model.hidden, h = new Float64Array(units), c = new Float64Array(units);
    for (let u = 0; u < units; u++) {
      c[u] = sigmoid(a[units + u]) * before.c[u] + sigmoid(a[u]) * Math.tanh(a[2 * units + u]);
      h[u] = sigmoid(a[3 * units + u]) * Math.tanh(c[u]);
    }
    return { h, c };
  },
  gru(a, weights, before) {
    const units = model.hidden, h = new Float64Array(units);
    const q = addProduct(Float64Array.from(weights("recurrent_bias")), before.h, weights("recurrent_kernel"));
    for (let u = 0; u < units; u++) {
      const z = sigmoid(a[u] + q[u]), r = sigmoid(a[units + u] + q[units + u]);
      h[u] = z * before.h[u] + (1 - z) * Math.tanh(a[2 * units + u] + r * q[2 * units + u]);
    }
    return { h };
  },
  rnn(a, weights, before) {
    return { h: addProduct(a, before.h, weights("recurrent_kernel")).map(Math.tanh) };
  },
  mingru(a, weights, before) {
    const units = model.hidden;
    return { h: before.h.map((h, u) => sigmoid(-a[u]) * h + sigmoid(a[u]) * a[units + u]) };
  },
  minlstm(a, weights, before) {
    const units = model.hidden;
    return {
      h: before.h.map((h, u) => {
        const kept = sigmoid(softplus(-a[units + u]) - softplus(-a[u])); // f / (f + i)
        return kept * h + (1 - kept) * a[2 * units + u];
      }),
    };
  },
};

function layerNorm(values, number) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  const scale = arrays[`norm_${number}.scale`], bias = arrays[`norm_${number}.bias`];
  return values.map((value, u) => ((value - mean) / Math.sqrt(variance + 1e-6)) * scale[u] + bias[u]);
}

function initialCarry() {
  const zeros = () => new Float64Array(model.hidden);
  return Array.from({ length: model.layers }, () => ({ h: zeros(), c: zeros() }));
}

// One step: an id and the carry before → the logits of the next id and the carry after.
function step(id, carry) {
  const row = (matrix, columns) => matrix.subarray(id * columns, (id + 1) * columns);
  const after = [];
  let hidden = null;
  for (let number = 0; number < model.layers; number++) {
    const weights = (name) => arrays[`${model.cell}_${number}.${name}`];
    const a = Float64Array.from(weights("bias"));
    if (number > 0) {
      addProduct(a, model.layerNorm ? layerNorm(hidden, number - 1) : hidden, weights("kernel"));
    } else if (arrays.embedding) {
      addProduct(a, row(arrays.embedding, weights("kernel").length / a.length), weights("kernel"));
    } else {
      row(weights("kernel"), a.length).forEach((value, j) => (a[j] += value));
    }
    const state = CELLS[model.cell](a, weights, carry[number]);
    after.push(state);
    hidden = model.residual && number > 0 ? hidden.map((value, u) => value + state.h[u]) : state.h;
  }
  if (model.layerNorm) hidden = layerNorm(hidden, model.layers - 1);
  const logits = addProduct(Float64Array.from(arrays["logits.bias"]), hidden, arrays["logits.kernel"]);
  return { logits, carry: after };
}

const feed = (ids, state) => ids.reduce((last, id) => step(id, last.carry), state);

// ---------------------------------------------------------------------------------------------------- probabilities

function softmax(logits) {
  const most = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const powers = logits.map((logit) => Math.exp(logit - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

// The probabilities that the next id is drawn with, as flaxchar's temperature, top-k and top-p make them.
function drawingProbabilities(logits, { temperature, topK, topP }) {
  const allowed = Float64Array.from(logits);
  for (const id of model.neverWritten) allowed[id] = -Infinity;
  if (temperature === 0) {
    const best = allowed.indexOf(allowed.reduce((a, b) => Math.max(a, b), -Infinity));
    return allowed.map((_, id) => (id === best ? 1 : 0));
  }
  const most = allowed.reduce((a, b) => Math.max(a, b), -Infinity);
  const probabilities = softmax(allowed.map((logit) => (logit - most) / temperature));
  const order = Array.from(probabilities.keys()).sort((a, b) => probabilities[b] - probabilities[a] || a - b);
  let before = 0, kept = 0;
  order.forEach((id, rank) => {
    const probability = probabilities[id];
    if (rank > 0 && (before >= topP || (topK > 0 && rank >= topK))) probabilities[id] = 0;
    before += probability;
    kept += probabilities[id];
  });
  return probabilities.map((probability) => probability / kept);
}

function draw(probabilities) {
  let rest = Math.random(), last = 0;
  for (let id = 0; id < probabilities.length; id++) {
    if (probabilities[id] > 0) last = id;
    if ((rest -= probabilities[id]) < 0 && probabilities[id] > 0) return id;
  }
  return last;
}
