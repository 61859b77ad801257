// The gradients of a matrix product's inputs and weights, from the gradient of its outputs.
//
// The reference in NumPy, for y = x @ W + b and d_y, with a row for each pair (time step, row of the batch):
//
//   d_x = d_y @ W.T        d_W = x.T @ d_y        d_b = d_y.sum(0)
//
// and for ids, where y = W[ids]:    np.add.at(d_W, ids, d_y)
//
// The caller computes d_y for one stretch of the pairs at a time, so that it is still in a cache when it is used. d_y
// as a whole is never in memory. tests/kernels/test_cpu.py compares the gradients of every layer with those in JAX.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "matrix.h"
#include "threads.h"
#include "vectors.h"

namespace {

// Number of pairs that a weight gradient sums over at once: a panel of that many pairs fits the first-level cache.
constexpr int64_t kDepth = 6144 / kPanel;

// The inputs x of a product, [pairs, columns]. Its first rows may be in an array of their own: the states before each
// step are h0, then hs.
struct Inputs {
  const float* first;
  int64_t first_count;
  const float* rest;
  int64_t columns;
  const float* row(int64_t pair) const {
    return pair < first_count ? first + pair * columns : rest + (pair - first_count) * columns;
  }
};

// The gradient d_y of a product's outputs, for a stretch of the pairs.
struct OutputGradient {
  Columns columns;
  float* values;  // [pairs of the stretch, columns in panels]

  float* row(int64_t pair) const { return values + pair * columns.width(); }

  // sums = d_y W^T for R rows from `pair` on and kPanel columns of x from `first` on; pack_transpose has packed W.
  // Vector `skipped` of each panel is left out, because W is 0 there.
  template <int skipped, int R>
  void times_transposed(Vector (&sums)[R][kVectors], int64_t pair, const float* transposed, int64_t first) const {
    for (auto& row : sums) std::fill(row, row + kVectors, Vector{});
    const float *from = row(pair), *weights = transposed + first * columns.width();
    if constexpr (skipped == kNone) {
      multiply<kNone>(sums, from, columns.width(), 1, weights, columns.width());
    } else {
      constexpr int before = skipped * kLanes, after = before + kLanes;
      for (int64_t panel = 0; panel < columns.panels(); ++panel, from += kPanel, weights += kPanel * kPanel) {
        multiply<kNone>(sums, from, columns.width(), 1, weights, before);
        if (after < kPanel) {
          multiply<kNone>(sums, from + after, columns.width(), 1, weights + after * kPanel, kPanel - after);
        }
      }
    }
  }

  // d_x [pairs, inputs] = d_y W^T, for a range of pairs.
  template <int skipped>
  void input_gradient(const float* transposed, Range pairs, int64_t inputs, float* d_x) const {
    for_row_blocks(pairs.begin, pairs.end, [&](auto rows, int64_t pair) {
      constexpr int R = decltype(rows)::value;
      for (int64_t panel = 0; panel * kPanel < inputs; ++panel) {
        Vector sums[R][kVectors];
        times_transposed<skipped>(sums, pair, transposed, panel * kPanel);
        for (int v = 0; v < kVectors; ++v) {
          const int64_t first = panel * kPanel + v * kLanes;
          const int lanes = static_cast<int>(std::clamp<int64_t>(inputs - first, 0, kLanes));
          for (int r = 0; r < R; ++r) store(d_x + (pair + r) * inputs + first, sums[r][v], lanes);
        }
      }
    });
  }

  // d_W [panel][row][kPanel] += x^T d_y for a range of rows of d_W, summed over the first `count` pairs of the stretch.
  // The stretch begins at row `first` of x. With `fresh`, d_W starts from zeros.
  template <int skipped>
  void add_products(const Inputs& x, int64_t first, int64_t count, Range rows, bool fresh, float* d_w) const {
    const int64_t whole = (rows.end - rows.begin) / kRows * kRows, rest = rows.end - rows.begin - whole;
    float* tiles = scratch(6, kDepth * (whole + rest));  // [block of rows][pair][row of the block]
    float* panel_values = scratch(7, kDepth * kPanel);
    const int64_t parts = (count + kDepth - 1) / kDepth;
    for (int64_t part = 0; part < parts; ++part) {
      const Range pairs = share(count, part, parts);
      const int64_t depth = pairs.end - pairs.begin;
      for (int64_t k = 0; k < depth; ++k) {
        const float* from = x.row(first + pairs.begin + k) + rows.begin;
        float* to = tiles + k * kRows;
        for (int64_t row = 0; row < whole; row += kRows, to += depth * kRows) {
          std::memcpy(to, from + row, kRows * sizeof(float));
        }
        std::copy_n(from + whole, rest, tiles + whole * depth + k * rest);
      }
      for (int64_t panel = 0; panel < columns.panels(); ++panel) {
        for (int64_t k = 0; k < depth; ++k) {
          std::memcpy(panel_values + k * kPanel, row(pairs.begin + k) + panel * kPanel, kPanel * sizeof(float));
        }
        const auto block = [&](auto size, int64_t row) {
          constexpr int R = decltype(size)::value;
          float* place = d_w + (panel * x.columns + rows.begin + row) * kPanel;
          Vector sums[R][kVectors] = {};
          for (int k = 0; k < R * kVectors && !(fresh && part == 0); ++k) {
            sums[k / kVectors][k % kVectors] = load(place + k * kLanes);
          }
          multiply<skipped>(sums, tiles + row * depth, 1, R, panel_values, depth);
          for (int k = 0; k < R * kVectors; ++k) store(place + k * kLanes, sums[k / kVectors][k % kVectors]);
        };
        for (int64_t row = 0; row < whole; row += kRows) block(std::integral_constant<int, kRows>(), row);
        for_row_blocks(whole, whole + rest, block);
      }
    }
  }

  // Copies a range of rows of d_W [panel][row][kPanel] to the matrix [all_rows, columns].
  void unpack(const float* d_w, int64_t all_rows, Range rows, float* to) const {
    for (int64_t panel = 0; panel < columns.panels(); ++panel) {
      for (int64_t row = rows.begin; row < rows.end; ++row) {
        for (int v = 0; v < kVectors; ++v) {
          const float* from = d_w + (panel * all_rows + row) * kPanel + v * kLanes;
          store(to + row * columns.count + columns.offset(panel, v), load(from), columns.lanes(panel, v));
        }
      }
    }
  }

  // Adds row `pair` of d_y to row ids[pair] of d_W [panel][row][kPanel], for a range of panels and the first `count`
  // pairs of the stretch. Without ids, d_W is the gradient of a bias, one row. With `fresh`, d_W starts from zeros.
  void add_rows(const int32_t* ids, int64_t count, Range panels, int64_t rows, bool fresh, float* d_w) const {
    for (int64_t panel = panels.begin; panel < panels.end; ++panel) {
      float* panel_sums = d_w + panel * rows * kPanel;
      if (fresh) std::fill_n(panel_sums, rows * kPanel, 0.0f);
      for (int64_t pair = 0; pair < count; ++pair) {
        float* to = panel_sums + (ids ? ids[pair] * kPanel : 0);
        const float* from = row(pair) + panel * kPanel;
        for (int k = 0; k < kPanel; k += kLanes) store(to + k, load(to + k) + load(from + k));
      }
    }
  }
};

}  // namespace
