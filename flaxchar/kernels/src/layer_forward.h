// A recurrent layer over a sequence.
//
// The reference in NumPy for the LSTM; tests/models/test_cells.py compares all three cells with theirs (`numpy_cell`):
//
//   for t in range(time):
//       z = x[t] @ W + b + (h * mask) @ R            # for ids, W[x[t]] instead of x[t] @ W
//       i, f, g, o = np.split(z, 4, -1)
//       c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
//       h = sigmoid(o) * np.tanh(c)
//       hs[t], cs[t] = h, c
//
// The four gates of kLanes units, for a few rows, stay in registers from the bias to the new hidden state. No
// pre-activation is stored, except a GRU's state part of n, which the gradients need.
#pragma once

#include <cstdint>

#include "layer.h"
#include "matrix.h"
#include "threads.h"
#include "vectors.h"

namespace {

struct Forward {
  Layer layer;
  float* hs;               // [time, batch, hidden]
  float* cs;               // [time, batch, hidden]; of an LSTM
  float* gates;            // [time, batch, 4 hidden in panels], for the gradients; not of an RNN
  float* recurrent_input;  // [time, batch, hidden]: the state before each step times the mask; null without a mask

  // One time step for R rows, from `row` on, and one panel of gates.
  template <Cell cell, int R>
  void block(int64_t t, int64_t row, int64_t panel, const float* kernel, const float* recurrent) const {
    const int64_t at = t * layer.batch + row, before = at - layer.batch, hidden = layer.hidden;
    const int64_t unit = panel * (cell == kRnn ? kPanel : kLanes);
    const Columns columns = layer.gates();
    Vector z[R][kVectors];
    for (int r = 0; r < R; ++r) {
      const float* from = layer.ids ? layer.kernel + layer.ids[at + r] * columns.count : layer.bias;
      for (int v = 0; v < kVectors; ++v) z[r][v] = load(from + columns.offset(panel, v), columns.lanes(panel, v));
    }
    if (!layer.ids) {
      multiply<without_inputs(cell)>(z, layer.inputs + at * layer.features, layer.features, 1,
                                     kernel + panel * layer.features * kPanel, layer.features);
    }
    const float* h_before = t == 0 ? layer.h0 + row * hidden : hs + before * hidden;
    multiply<without_state(cell)>(z, layer.mask ? recurrent_input + at * hidden : h_before, hidden, 1,
                                  recurrent + panel * hidden * kPanel, hidden);
    const auto store_h = [&](int r, int64_t unit, int lanes, Vector h) {
      const int64_t to = (at + r) * hidden + unit;
      store(hs + to, h, lanes);
      if (!layer.mask || t + 1 == layer.time) return;
      const Vector mask = load(layer.mask + (row + r) * hidden + unit, lanes);
      store(recurrent_input + to + layer.batch * hidden, h * mask, lanes);
    };
    if constexpr (cell == kRnn) {
      for (int v = 0; v < kVectors; ++v) {
        const int lanes = layer.lanes(unit + v * kLanes);
        for (int r = 0; r < R && lanes > 0; ++r) store_h(r, unit + v * kLanes, lanes, tanh(z[r][v]));
      }
      return;
    }
    const int lanes = layer.lanes(unit);
    const float* c_before = t == 0 ? layer.c0 + row * hidden : cs + before * hidden;
    for (int r = 0; r < R; ++r) {
      float* to = gates + (at + r) * columns.width() + panel * kPanel;
      const auto store_gates = [&](Vector a, Vector b, Vector c, Vector d) {
        store(to, a), store(to + kLanes, b), store(to + 2 * kLanes, c), store(to + 3 * kLanes, d);
      };
      if constexpr (cell == kLstm) {
        const Vector i = sigmoid(z[r][0]), f = sigmoid(z[r][1]), g = tanh(z[r][2]), o = sigmoid(z[r][3]);
        const Vector c = f * load(c_before + r * hidden + unit, lanes) + i * g;
        store_gates(i, f, g, o);
        store(cs + (at + r) * hidden + unit, c, lanes);
        store_h(r, unit, lanes, o * tanh(c));
      } else {
        const Vector update = sigmoid(z[r][0]), reset = sigmoid(z[r][1]), n = tanh(z[r][2] + reset * z[r][3]);
        store_gates(update, reset, n, z[r][3]);
        store_h(r, unit, lanes, update * load(h_before + r * hidden + unit, lanes) + (1.0f - update) * n);
      }
    }
  }

  template <Cell cell>
  void run_cell(int threads) const {
    const Columns columns = layer.gates();
    const int64_t inputs = layer.ids ? 0 : layer.features;
    float* kernel = scratch(0, inputs * columns.width());
    float* recurrent = scratch(1, layer.hidden * columns.width());
    Team team(layer, threads);
    Barrier packed_by_all(threads);
    Pool::get().run(threads, [&](int member, int members) {
      const ThreadShare own = team.share_of(member, members);
      const Range panels = share(columns.panels(), member, members);
      pack(columns, layer.kernel, inputs, panels, kernel);
      pack(columns, layer.recurrent, layer.hidden, panels, recurrent);
      const Range states = share(layer.mask ? layer.batch * layer.hidden : 0, member, members);
      for (int64_t k = states.begin; k < states.end; ++k) recurrent_input[k] = layer.h0[k] * layer.mask[k];
      if (members > 1) packed_by_all.wait();
      for (int64_t t = 0; t < layer.time; ++t) {
        for (int64_t panel = own.panels.begin; panel < own.panels.end; ++panel) {
          for_row_blocks(own.rows.begin, own.rows.end, [&](auto rows, int64_t row) {
            block<cell, decltype(rows)::value>(t, row, panel, kernel, recurrent);
          });
        }
        own.barrier->wait();  // the next step reads all units of these rows
      }
    });
  }

  void run(int threads) const {
    for_cell(layer.cell, [&](auto cell) { run_cell<decltype(cell)::value>(threads); });
  }
};

}  // namespace
