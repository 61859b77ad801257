// The decode loop: feed a token to the model, draw the next one, and so on, for many texts at once.
//
// The reference is flaxchar/generation/decode.py in JAX. For one text, in Python:
//
//   for position in range(until):
//       h, logits = step(tokens[position], h)
//       if position + 1 >= given:                          # past the prompt
//           tokens[position + 1] = draw(logits, fold_in(key, position + 1 - given))
//
// `draw` is draw_token of flaxchar/generation/sampling.py. tests/kernels/test_cpu_decode.py compares the texts with
// those of the loop in JAX.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <vector>

#include "cross_entropy.h"
#include "layer_forward.h"
#include "matrix.h"
#include "random.h"

namespace {

// A model and the sampling settings. `_Decoder` in flaxchar/kernels/cpu_decode.py fills in the members, in order.
struct Decoder {
  int64_t cell, layers, hidden, vocab, features;  // features: rows of the first layer's kernel
  const float* const* kernels;     // [layers]; the first is a table [features, gates hidden] with the bias added
  const float* const* biases;      // [layers]
  const float* const* recurrents;  // [layers]
  const float* head;               // [hidden, vocab]
  const float* head_bias;          // [vocab]
  const uint8_t* banned;           // [vocab]
  float temperature, top_p, min_p;
  int64_t top_k;

  // Draws an id from logits [vocab] and overwrites them: draw_token of flaxchar/generation/sampling.py.
  int32_t draw(float* logits, Key key) const {
    for (int64_t id = 0; id < vocab; ++id) logits[id] = banned[id] ? -INFINITY : logits[id];
    const int32_t greatest = static_cast<int32_t>(std::max_element(logits, logits + vocab) - logits);
    if (temperature == 0.0f) return greatest;
    const float offset = logits[greatest];
    for (int64_t id = 0; id < vocab; ++id) logits[id] = (logits[id] - offset) / temperature;
    if (top_k > 0 || top_p < 1.0f) filter(logits);
    if (min_p > 0.0f) {
      const float least = std::log(min_p);  // the greatest logit is 0 here
      for (int64_t id = 0; id < vocab; ++id) logits[id] = logits[id] >= least ? logits[id] : -INFINITY;
    }
    int32_t best = greatest;
    float best_value = -INFINITY;
    for (int64_t first = 0; first < vocab; first += kLanes) {
      const Vector noise = gumbel(key, static_cast<uint32_t>(first));
      for (int64_t id = first; id < std::min(first + kLanes, vocab); ++id) {
        const float value = logits[id] + noise[id - first];
        if (value > best_value) best = static_cast<int32_t>(id), best_value = value;
      }
    }
    return best;
  }

  // Sets the logits that top-k and top-p exclude to -inf.
  void filter(float* logits) const {
    std::vector<int32_t> order(vocab);
    for (int64_t id = 0; id < vocab; ++id) order[id] = static_cast<int32_t>(id);
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return logits[a] > logits[b]; });
    float sum = 0.0f, mass = 0.0f;
    for (int64_t id = 0; id < vocab; ++id) sum += std::exp(logits[id]);
    for (int64_t rank = 0; rank < vocab; ++rank) {
      const float probability = std::exp(logits[order[rank]]) / sum;
      const bool kept = rank == 0 || (mass < top_p && (top_k == 0 || rank < top_k));
      mass += probability;
      if (!kept) logits[order[rank]] = -INFINITY;
    }
  }
};

// The state of the loop for each text. `_Buffers` in flaxchar/kernels/cpu_decode.py fills in the members, in order.
struct Buffers {
  int64_t count, length;
  const int32_t* given;   // [count]: number of tokens in each text's prompt
  const int32_t* limits;  // [count]: the most tokens each text may have
  const Key* keys;        // [count]
  int64_t until;          // the number of tokens to feed
  int32_t* tokens;        // [count, length]
  int32_t* positions;     // [count]: number of tokens that have been fed
  uint8_t* done;          // [count]
  float* h;               // [count, layers, hidden]
  float* c;               // [count, layers, hidden]
};

// The most texts that one thread writes at once. When one of them is finished, the next text takes its slot.
constexpr int kSlots = 4 * kRows;

struct Writer {
  const Decoder& decoder;
  const Buffers& texts;
  const float* const* kernels;     // packed, except for the first
  const float* const* recurrents;  // packed
  const float* head;               // packed
  std::atomic<int64_t>& next;      // the first text that no thread has taken

  // Writes texts, `slots` at a time, until none is left.
  template <Cell cell>
  void run(int64_t slots) const {
    const int64_t layers = decoder.layers, hidden = decoder.hidden;
    const Columns gates = Layer{cell, 1, 0, hidden}.gates(), vocab{decoder.vocab, 0};
    std::vector<int64_t> rows;  // the texts in the slots
    std::vector<float> before(2 * layers * slots * hidden), after(2 * layers * slots * hidden);  // h and c by layer
    std::vector<float> gate_values(slots * gates.width()), logits(slots * vocab.width());
    std::vector<int32_t> ids(slots);
    const auto state = [&](std::vector<float>& from, int64_t layer, int which, int64_t slot) {
      return from.data() + ((layer * 2 + which) * slots + slot) * hidden;
    };
    for (;;) {
      while (static_cast<int64_t>(rows.size()) < slots) {
        const int64_t row = next.fetch_add(1);
        if (row >= texts.count) break;
        if (texts.done[row] || texts.positions[row] >= texts.until) continue;
        for (int64_t layer = 0; layer < layers; ++layer) {
          const int64_t at = (row * layers + layer) * hidden;
          std::copy_n(texts.h + at, hidden, state(before, layer, 0, rows.size()));
          std::copy_n(texts.c + at, hidden, state(before, layer, 1, rows.size()));
        }
        rows.push_back(row);
      }
      if (rows.empty()) return;
      const int64_t count = rows.size();
      for (int64_t slot = 0; slot < count; ++slot) {
        ids[slot] = texts.tokens[rows[slot] * texts.length + texts.positions[rows[slot]]];
      }
      for (int64_t layer = 0; layer < layers; ++layer) {
        const Forward forward{{cell, 1, count, hidden, layer == 0 ? decoder.features : hidden,
                               layer == 0 ? ids.data() : nullptr, layer == 0 ? nullptr : state(after, layer - 1, 0, 0),
                               decoder.kernels[layer], decoder.biases[layer], nullptr, state(before, layer, 0, 0),
                               state(before, layer, 1, 0), nullptr},
                              state(after, layer, 0, 0), state(after, layer, 1, 0), gate_values.data(), nullptr};
        for (int64_t panel = 0; panel < gates.panels(); ++panel) {
          for_row_blocks(0, count, [&](auto block, int64_t slot) {
            forward.block<cell, decltype(block)::value>(0, slot, panel, kernels[layer], recurrents[layer]);
          });
        }
      }
      const float* outputs = state(after, layers - 1, 0, 0);
      const CrossEntropy output{count, hidden, vocab, outputs, nullptr, decoder.head_bias, nullptr};
      output.logits(head, {0, count}, logits.data());
      before.swap(after);
      int64_t staying = 0;
      for (int64_t slot = 0; slot < count; ++slot) {
        const int64_t row = rows[slot];
        const int32_t position = ++texts.positions[row];
        if (position >= texts.given[row]) {
          const Key key = fold_in(texts.keys[row], static_cast<uint32_t>(position - texts.given[row]));
          const int32_t drawn = decoder.draw(logits.data() + slot * vocab.width(), key);
          texts.tokens[row * texts.length + position] = drawn;
          texts.done[row] |= drawn == decoder.vocab - 1;
        }
        texts.done[row] |= position + 1 >= texts.limits[row];
        const bool stays = !texts.done[row] && position < texts.until;
        for (int64_t layer = 0; layer < layers; ++layer) {
          const int64_t at = (row * layers + layer) * hidden;
          for (int which = 0; which < 2; ++which) {
            float* to = stays ? state(before, layer, which, staying) : (which == 0 ? texts.h : texts.c) + at;
            const float* from = state(before, layer, which, slot);
            if (to != from) std::copy_n(from, hidden, to);
          }
        }
        if (stays) rows[staying++] = row;
      }
      rows.resize(staying);
    }
  }
};

// Writes texts until each is finished or has been fed `until` tokens, on up to `threads` threads.
void decode(const Decoder& decoder, const Buffers& texts, int threads) {
  const int64_t layers = decoder.layers, hidden = decoder.hidden;
  const Cell cell = static_cast<Cell>(decoder.cell);
  const Columns gates = Layer{cell, 1, 0, hidden}.gates(), vocab{decoder.vocab, 0};
  std::vector<std::vector<float>> packed;
  std::vector<const float*> kernels, recurrents;
  const auto pack_all = [&](const Columns& columns, const float* weights) {
    packed.emplace_back(hidden * columns.width());
    pack(columns, weights, hidden, {0, columns.panels()}, packed.back().data());
    return packed.back().data();
  };
  for (int64_t layer = 0; layer < layers; ++layer) {
    kernels.push_back(layer == 0 ? nullptr : pack_all(gates, decoder.kernels[layer]));
    recurrents.push_back(pack_all(gates, decoder.recurrents[layer]));
  }
  const float* head = pack_all(vocab, decoder.head);
  std::atomic<int64_t> next{0};
  threads = static_cast<int>(std::min<int64_t>(threads, texts.count));
  const int64_t slots = std::clamp<int64_t>((texts.count + threads - 1) / threads, 1, kSlots);
  Pool::get().run(threads, [&](int, int) {
    const Writer writer{decoder, texts, kernels.data(), recurrents.data(), head, next};
    for_cell(cell, [&](auto cell) { writer.run<decltype(cell)::value>(slots); });
  });
}

}  // namespace
