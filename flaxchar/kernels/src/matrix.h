// Matrix products of a few rows at a time, and packing: weights copied into the order in which the products read them.
//
// The reference in NumPy; `multiply` computes a block of its rows and columns:
//
//   c = c + a @ b
//
// The sums of a block of up to kRows rows and kVectors vectors of columns stay in registers. Every block adds in the
// order of b's rows, so that a sum depends neither on the other rows of `a` nor on the number of threads.
// tests/kernels/test_cpu_bits.py checks that for the layers, bit by bit.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "threads.h"
#include "vectors.h"

namespace {

constexpr int kVectors = 4;                // vectors of a block: four gates of kLanes units, or any 4 kLanes columns
constexpr int kPanel = kVectors * kLanes;  // floats of one row of a panel

// sums[r][v] += a[r][k] * b[k][v], summed over k < count, for R rows and V vectors. Row r of `a` begins at
// a + r * stride, and its columns are `step` apart. Vector `skipped` of b is known to be 0 and is left out.
constexpr int kNone = -1;
template <int skipped, int R, int V>
inline __attribute__((always_inline)) void multiply(Vector (&sums)[R][V], const float* a, int64_t stride, int64_t step,
                                                    const float* b, int64_t count) {
#pragma GCC unroll 4
  for (int64_t k = 0; k < count; ++k, b += V * kLanes) {
    Vector inputs[R];
    for (int r = 0; r < R; ++r) inputs[r] = constant(a[r * stride + k * step]);
    // Each weight is loaded once. Sums, inputs and one weight fill the registers (see kRows in vectors.h).
    for (int v = 0; v < V; ++v) {
      if (v == skipped) continue;
      const Vector weight = load(b + v * kLanes);
      for (int r = 0; r < R; ++r) sums[r][v] += inputs[r] * weight;
    }
  }
}

// Divides rows into blocks of about equal size, at most kRows each, and calls f(R, first row) for each block. R, the
// block's size, is a compile-time integer.
template <typename F>
void for_row_blocks(int64_t begin, int64_t end, F f) {
  const uint32_t rows = static_cast<uint32_t>(end - begin), blocks = (rows + kRows - 1) / kRows;
  if (blocks == 0) return;
  const uint32_t least = rows / blocks, larger = rows % blocks;  // the first `larger` blocks have one row more
  int64_t first = begin;
  for (uint32_t block = 0; block < blocks; ++block) {
    const int64_t size = least + (block < larger);
    switch (size) {
      case 1: f(std::integral_constant<int, 1>(), first); break;
      case 2: f(std::integral_constant<int, 2>(), first); break;
      case 3: f(std::integral_constant<int, 3>(), first); break;
      case 4: f(std::integral_constant<int, kRows < 4 ? 1 : 4>(), first); break;
      case 5: f(std::integral_constant<int, kRows < 5 ? 1 : 5>(), first); break;
      case 6: f(std::integral_constant<int, kRows < 6 ? 1 : 6>(), first); break;
    }
    first += size;
  }
}

// The order of a weight matrix's columns in panels of kVectors vectors. The columns of a plain matrix keep their order.
// A panel of a layer's gates holds all four gates of kLanes units. The last panel is padded with 0.
struct Columns {
  int64_t count;   // columns of the matrix
  int64_t hidden;  // units of a layer with four gates; 0 for a plain matrix

  int64_t panels() const { return hidden ? (hidden + kLanes - 1) / kLanes : (count + kPanel - 1) / kPanel; }
  int64_t width() const { return panels() * kPanel; }  // columns with the padding
  int64_t offset(int64_t panel, int v) const {
    return hidden ? v * hidden + panel * kLanes : panel * kPanel + v * kLanes;
  }
  int lanes(int64_t panel, int v) const {
    const int64_t rest = hidden ? hidden - panel * kLanes : count - offset(panel, v);
    return static_cast<int>(std::clamp<int64_t>(rest, 0, kLanes));
  }
};

// weights [rows, columns] → [panel][row][kPanel], for a range of panels
void pack(const Columns& columns, const float* weights, int64_t rows, Range panels, float* packed) {
  for (int64_t panel = panels.begin; panel < panels.end; ++panel) {
    float* to = packed + panel * rows * kPanel;
    for (int64_t row = 0; row < rows; ++row) {
      for (int v = 0; v < kVectors; ++v, to += kLanes) {
        store(to, load(weights + row * columns.count + columns.offset(panel, v), columns.lanes(panel, v)));
      }
    }
  }
}

// weights [rows, columns] → their transpose [row / kPanel][column in panels][row % kPanel], for a range of panels
void pack_transpose(const Columns& columns, const float* weights, int64_t rows, Range panels, float* packed) {
  for (int64_t block = 0; block * kPanel < rows; ++block) {
    for (int64_t panel = panels.begin; panel < panels.end; ++panel) {
      float* to = packed + (block * columns.width() + panel * kPanel) * kPanel;
      for (int64_t row = 0; row < kPanel; ++row, ++to) {
        const float* from = weights + (block * kPanel + row) * columns.count;
        for (int v = 0; v < kVectors; ++v) {
          const int used = block * kPanel + row < rows ? columns.lanes(panel, v) : 0;
          for (int lane = 0; lane < kLanes; ++lane) {
            to[(v * kLanes + lane) * kPanel] = lane < used ? from[columns.offset(panel, v) + lane] : 0.0f;
          }
        }
      }
    }
  }
}

// Number of floats in a packed transpose.
int64_t transposed_size(const Columns& columns, int64_t rows) {
  return (rows + kPanel - 1) / kPanel * kPanel * columns.width();
}

}  // namespace
