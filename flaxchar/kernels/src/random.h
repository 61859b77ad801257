// JAX's random numbers: Threefry, folding a number into a key, and Gumbel noise.
//
// The reference in Python; tests/kernels/test_cpu.py and, through the decode loop, test_cpu_decode.py compare with it:
//
//   fold_in(key, data)     = jax.random.fold_in(key, data)
//   gumbel(key, first)[k]  = jax.random.gumbel(key, (vocab,))[first + k]
//   bits(key, first)[k]    = jax.random.bits(key, (count,))[first + k]
//
// flaxchar/kernels/random.py has the same rounds for whole arrays, in NumPy and JAX.
#pragma once

#include <cstdint>

#include "vectors.h"

namespace {

typedef uint32_t Words __attribute__((vector_size(kLanes * sizeof(uint32_t))));

struct Key {
  uint32_t first, second;
};

// Threefry-2x32 with 20 rounds (Salmon et al. 2011, https://doi.org/10.1145/2063384.2063405), in place.
template <typename Word>
inline void threefry(Key key, Word& x, Word& y) {
  const uint32_t keys[3] = {key.first, key.second, key.first ^ key.second ^ 0x1BD11BDAu};
  constexpr int rotations[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
  x += keys[0], y += keys[1];
  for (uint32_t group = 0; group < 5; ++group) {
    for (int rotation : rotations[group % 2]) {
      x += y;
      y = (y << rotation | y >> (32 - rotation)) ^ x;
    }
    x += keys[(group + 1) % 3], y += keys[(group + 2) % 3] + group + 1;
  }
}

Key fold_in(Key key, uint32_t data) {
  uint32_t x = 0, y = data;
  threefry(key, x, y);
  return {x, y};
}

Words bits(Key key, uint32_t first) {
  Words x = {}, y = {};
  for (int lane = 0; lane < kLanes; ++lane) y[lane] = first + lane;
  threefry(key, x, y);
  return x ^ y;
}

// The Gumbel noise that jax.random.categorical adds to the logits of the ids from `first` on.
Vector gumbel(Key key, uint32_t first) {
  const Vector uniform = (Vector)((bits(key, first) >> 9) | 0x3f800000u) - 1.0f + 1.17549435e-38f;
  return -log(-log(uniform));
}

}  // namespace
