// Vectors of floats, and tanh, sigmoid, exp and log of them.
//
// A Vector is as wide as a register of the target processor. It uses the vector extension of GCC and Clang, so that one
// source serves SSE, AVX, AVX-512 and ARM.
//
// The reference in NumPy, for each lane:
//
//   tanh(x)    = np.tanh(x)
//   sigmoid(x) = 1 / (1 + np.exp(-x))
//   exp(x)     = np.exp(x), for x <= 0
//   log(x)     = np.log(x), for x > 0
//
// tests/kernels/test_cpu.py compares them with NumPy over their whole range.
//
// All headers but threads.h give their names internal linkage (an anonymous namespace), so that the compiler inlines
// functions that are called once.
#pragma once

#include <cstdint>

namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16, kRows = 6;  // 32 registers: 6 x 4 sums, 6 inputs, 1 weight
#elif defined(__AVX__)
constexpr int kLanes = 8, kRows = 3;  // 16 registers: 3 x 4 sums, 3 inputs, 1 weight
#elif defined(__aarch64__)
constexpr int kLanes = 4, kRows = 6;  // 32 registers
#else
constexpr int kLanes = 4, kRows = 3;
#endif

typedef float Vector __attribute__((vector_size(kLanes * sizeof(float))));
typedef int32_t Integers __attribute__((vector_size(kLanes * sizeof(float))));
typedef float Unaligned __attribute__((vector_size(kLanes * sizeof(float)), aligned(4), may_alias));

inline Vector load(const float* from) { return *reinterpret_cast<const Unaligned*>(from); }
inline void store(float* to, Vector value) { *reinterpret_cast<Unaligned*>(to) = value; }

// Load or store the first `count` lanes. The other lanes are loaded as 0 and not stored.
inline Vector load(const float* from, int count) {
  if (count == kLanes) return load(from);
  Vector value = {};
  for (int lane = 0; lane < count; ++lane) value[lane] = from[lane];
  return value;
}
inline void store(float* to, Vector value, int count) {
  if (count == kLanes) return store(to, value);
  for (int lane = 0; lane < count; ++lane) to[lane] = value[lane];
}

// The value in every lane. The compiler drops the subtraction, because x - 0 is x for every x. It would keep an
// addition: 0 + x is not x if x is -0.
inline Vector constant(float value) { return value - Vector{}; }

// tanh as a quotient of polynomials, within 3 units in the last place (the coefficients of Eigen's ptanh_float).
inline Vector tanh(Vector x) {
  const Vector limit = constant(7.90531110763549805f);
  x = (Vector)((x > limit) ? limit : x);
  x = (Vector)((x < -limit) ? -limit : x);
  const Vector y = x * x;
  Vector p = y * -2.76076847742355e-16f + 2.00018790482477e-13f;
  p = y * p + -8.60467152213735e-11f;
  p = y * p + 5.12229709037114e-08f;
  p = y * p + 1.48572235717979e-05f;
  p = y * p + 6.37261928875436e-04f;
  p = y * p + 4.89352455891786e-03f;
  Vector q = y * 1.19825839466702e-06f + 1.18534705686654e-04f;
  q = y * q + 2.26843463243900e-03f;
  q = y * q + 4.89352518554385e-03f;
  return x * p / q;
}

// sigmoid(x) = tanh(x / 2) / 2 + 1 / 2
inline Vector sigmoid(Vector x) { return tanh(x * 0.5f) * 0.5f + 0.5f; }

// exp(x) for x <= 0, within 2 units in the last place: 2^n times a polynomial (the coefficients of Cephes' expf).
inline Vector exp(Vector x) {
  const Vector limit = constant(-87.0f);
  x = (Vector)((x < limit) ? limit : x);
  const Vector shift = constant(12582912.0f);  // 1.5 * 2^23: the sum is rounded to an integer, which is in its low bits
  const Vector shifted = x * 1.44269504088896341f + shift;
  const Vector n = shifted - shift;
  x = x - n * 0.693359375f - n * -2.12194440e-4f;
  Vector p = x * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * x + 8.3334519073e-3f;
  p = p * x + 4.1665795894e-2f;
  p = p * x + 1.6666665459e-1f;
  p = p * x + 5.0000001201e-1f;
  p = p * x * x + x + 1.0f;
  const Integers exponent = ((Integers)shifted - (Integers)shift) << 23;
  return (Vector)((Integers)p + exponent);
}

// log(x) for a normal number x > 0, within 2 units in the last place (the coefficients of Cephes' logf).
inline Vector log(Vector x) {
  const Integers bits = (Integers)x;
  Vector m = (Vector)((bits & 0x007fffff) | 0x3f000000);  // x = m 2^exponent, with 1/2 <= m < 1
  const Integers small = (Integers)(m < 0.70710678f);     // -1 where the comparison holds
  const Vector exponent = __builtin_convertvector(((bits >> 23) & 0xff) - 126 + small, Vector);
  m = m + (Vector)(small & (Integers)m) - 1.0f;
  const Vector square = m * m;
  Vector p = m * 7.0376836292e-2f + -1.1514610310e-1f;
  p = p * m + 1.1676998740e-1f;
  p = p * m + -1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f;
  p = p * m + -1.6668057665e-1f;
  p = p * m + 2.0000714765e-1f;
  p = p * m + -2.4999993993e-1f;
  p = p * m + 3.3333331174e-1f;
  return m + (p * m * square + exponent * -2.12194440e-4f - square * 0.5f) + exponent * 0.693359375f;
}

}  // namespace
