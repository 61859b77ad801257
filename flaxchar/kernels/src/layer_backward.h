// The gradients of a recurrent layer: the reverse scan over the time steps, and the weight gradients.
//
// The reference in NumPy for the LSTM; flaxchar/models/lstm.py has its derivation, cells.py those of the other cells:
//
//   for t in reversed(range(time)):
//       dh += d_hs[t]
//       dc += dh * o[t] * (1 - tanh(c[t]) ** 2)
//       dz[t] = concatenate([dc * g * i * (1 - i), dc * c[t - 1] * f * (1 - f), dc * i * (1 - g ** 2),
//                            dh * tanh(c[t]) * o * (1 - o)])
//       dh, dc = dz[t] @ R.T * mask, dc * f[t]
//   d_R = sum((h[t - 1] * mask).T @ dz[t] for t in range(time))
//
// The scan goes in stretches of time steps. After each, it adds the stretch to the weight gradients while dz is still
// in a cache. tests/kernels/test_cpu.py compares with the same layer in JAX, tests/models/test_cells.py with finite
// differences.
#pragma once

#include <algorithm>
#include <cstdint>

#include "gradients.h"
#include "layer.h"
#include "matrix.h"
#include "threads.h"
#include "vectors.h"

namespace {

struct Backward {
  Layer layer;
  const float* hs;
  const float* cs;
  const float* gates;
  const float* recurrent_input;
  const float* d_hs;         // [time, batch, hidden]
  const float* d_h;          // [batch, hidden], of the state after the last step
  const float* d_c;          // [batch, hidden]; of an LSTM
  float* d_inputs;           // [time, batch, features]; not for ids
  float* d_kernel;           // [features, gates hidden]
  float* d_bias;             // [gates hidden]; not for ids
  float* d_recurrent;        // [hidden, gates hidden]
  float* d_recurrent_input;  // [batch, hidden]: gradient of h0 * mask, through the first step's product
  // [batch, hidden]: the part of the gradient of the state before a step that does not go through the recurrent
  // product: dc' for an LSTM, dh z for a GRU.
  float* d_direct;

  // Step t for R rows and kPanel units from `first` on: dh from the next step's dz, then this step's dz. The rows of
  // step t begin at `pair` of the stretch, those of step t + 1 at `later`.
  template <Cell cell, int R>
  void block(int64_t t, int64_t row, int64_t pair, int64_t later, int64_t first, const OutputGradient& d_z,
             const float* transposed) const {
    const int64_t at = t * layer.batch + row, hidden = layer.hidden, width = d_z.columns.width();
    const bool last = t + 1 == layer.time;
    Vector from_later[R][kVectors];
    if (!last) d_z.times_transposed<without_state(cell)>(from_later, later, transposed, first);
    // The last panel of an RNN may have vectors without a unit; they are stored too, because dz must be 0 there.
    for (int v = 0; v < kVectors && (cell == kRnn || first + v * kLanes < hidden); ++v) {
      const int64_t unit = first + v * kLanes, panel = unit / layer.panel_units();
      const int lanes = layer.lanes(unit);
      for (int r = 0; r < R; ++r) {
        const int64_t state = (row + r) * hidden + unit, here = (at + r) * hidden + unit;
        if (!last && layer.mask) from_later[r][v] *= load(layer.mask + state, lanes);
        const Vector d_h_here = load(d_hs + here, lanes) + (last ? load(d_h + state, lanes) : from_later[r][v]);
        if constexpr (cell == kRnn) {
          const Vector h = load(hs + here, lanes);
          store(d_z.row(pair + r) + unit, d_h_here * (1.0f - h * h));
          continue;
        }
        const float* gate = gates + (at + r) * width + panel * kPanel;
        float* to = d_z.row(pair + r) + panel * kPanel;
        const auto store_gates = [&](Vector a, Vector b, Vector c, Vector d) {
          store(to, a), store(to + kLanes, b), store(to + 2 * kLanes, c), store(to + 3 * kLanes, d);
        };
        if constexpr (cell == kLstm) {
          const Vector i = load(gate), f = load(gate + kLanes);
          const Vector g = load(gate + 2 * kLanes), o = load(gate + 3 * kLanes);
          const Vector tanh_c = tanh(load(cs + here, lanes));
          const Vector c_before = load(t == 0 ? layer.c0 + state : cs + here - layer.batch * hidden, lanes);
          const Vector d_c_here =
              load(last ? d_c + state : d_direct + state, lanes) + d_h_here * o * (1.0f - tanh_c * tanh_c);
          store_gates(d_c_here * g * i * (1.0f - i), d_c_here * c_before * f * (1.0f - f),
                      d_c_here * i * (1.0f - g * g), d_h_here * tanh_c * o * (1.0f - o));
          store(d_direct + state, d_c_here * f, lanes);
        } else {
          const Vector update = load(gate), reset = load(gate + kLanes), n = load(gate + 2 * kLanes);
          const Vector h_before = load(t == 0 ? layer.h0 + state : hs + here - layer.batch * hidden, lanes);
          const Vector d_h_all = last ? d_h_here : d_h_here + load(d_direct + state, lanes);
          const Vector d_n = d_h_all * (1.0f - update) * (1.0f - n * n);
          store_gates(d_h_all * (h_before - n) * update * (1.0f - update),
                      d_n * load(gate + 3 * kLanes) * reset * (1.0f - reset), d_n, d_n * reset);
          store(d_direct + state, d_h_all * update, lanes);
        }
      }
    }
  }

  template <Cell cell>
  void run_cell(int threads) const {
    const int64_t time = layer.time, batch = layer.batch, hidden = layer.hidden, features = layer.features;
    const Columns columns = layer.gates();
    // Time steps of a stretch: at least two, so that a step does not overwrite dz of the next step.
    const int64_t steps = std::min(time, std::max<int64_t>(2, kDepth / batch));
    float* recurrent = scratch(0, transposed_size(columns, hidden));
    float* kernel = scratch(1, layer.ids ? 0 : transposed_size(columns, features));
    const OutputGradient d_z{columns, scratch(2, columns.width() * steps * batch)};
    float* recurrent_sums = scratch(3, hidden * columns.width());
    float* kernel_sums = scratch(4, features * columns.width());
    float* bias_sums = scratch(5, columns.width());
    const Inputs states_before =
        layer.mask ? Inputs{nullptr, 0, recurrent_input, hidden} : Inputs{layer.h0, batch, hs, hidden};
    Team team(layer, threads);
    Barrier all(threads);
    Pool::get().run(threads, [&](int member, int members) {
      const auto meet = [&] {
        if (members > 1) all.wait();
      };
      const auto own_share = [&](int64_t count) { return share(count, member, members); };
      const ThreadShare own = team.share_of(member, members);
      const Range panels = own_share(columns.panels());
      pack_transpose(columns, layer.recurrent, hidden, panels, recurrent);
      if (!layer.ids) pack_transpose(columns, layer.kernel, features, panels, kernel);
      meet();
      // Whole blocks of kPanel units; the last thread takes the remaining units.
      const int64_t first_unit = own.panels.begin * layer.panel_units() / kPanel * kPanel;
      const int64_t last_unit =
          own.panels.end == columns.panels() ? hidden : own.panels.end * layer.panel_units() / kPanel * kPanel;
      for (int64_t begin = (time - 1) / steps * steps; begin >= 0; begin -= steps) {
        const int64_t end = std::min(time, begin + steps), first = begin * batch, count = (end - begin) * batch;
        for (int64_t t = end - 1; t >= begin; --t) {
          const int64_t pair = (t - begin) * batch, later = (t + 1 - begin) % steps * batch;
          for (int64_t unit = first_unit; unit < last_unit; unit += kPanel) {
            for_row_blocks(own.rows.begin, own.rows.end, [&](auto rows, int64_t row) {
              block<cell, decltype(rows)::value>(t, row, pair + row, later + row, unit, d_z, recurrent);
            });
          }
          own.barrier->wait();  // step t - 1 reads all units of these rows
        }
        meet();
        const bool fresh = end == time;
        if (begin == 0) d_z.input_gradient<without_state(cell)>(recurrent, own_share(batch), hidden, d_recurrent_input);
        d_z.add_products<without_state(cell)>(states_before, first, count, own_share(hidden), fresh, recurrent_sums);
        if (layer.ids) {
          d_z.add_rows(layer.ids + first, count, panels, features, fresh, kernel_sums);
        } else {
          d_z.add_rows(nullptr, count, panels, 1, fresh, bias_sums);
          d_z.input_gradient<without_inputs(cell)>(kernel, own_share(count), features, d_inputs + first * features);
          const Inputs inputs{nullptr, 0, layer.inputs, features};
          d_z.add_products<without_inputs(cell)>(inputs, first, count, own_share(features), fresh, kernel_sums);
        }
        meet();  // the next stretch overwrites this one
      }
      d_z.unpack(recurrent_sums, hidden, own_share(hidden), d_recurrent);
      d_z.unpack(kernel_sums, features, own_share(features), d_kernel);
      if (!layer.ids && member == 0) d_z.unpack(bias_sums, 1, {0, 1}, d_bias);
    });
  }

  void run(int threads) const {
    for_cell(layer.cell, [&](auto cell) { run_cell<decltype(cell)::value>(threads); });
  }
};

}  // namespace
