// LSTM, GRU and simple RNN over a sequence, the cross-entropy of the characters predicted from it, and their gradients,
// for a CPU: called by XLA through its foreign function interface. And the decode loop, called by Python directly.
//
// The mathematics is that of flaxchar/recurrence.py, cells.py, losses.py and generate.py, which tests hold this file to.
// What makes it fast:
//
// - A step's product h R is computed in blocks of a few rows by the four gates of `kLanes` units. The block stays in
//   registers from the first addend to the gates, the cell and the hidden state: no pre-activation is ever stored.
// - The weights are copied once a call into panels, the order in which the blocks read them.
// - Several threads share the rows of the batch, each with all its time steps, and never wait for one another. Where
//   the weights are too many for one core's cache they share the units instead, and meet once a time step.
// - The reverse scan stops every few hundred rows for their share of the weight gradients, while what it has written is
//   still in a cache; the gradients of the gates never go to memory as a whole.
//
// Each number is summed in an order that depends neither on the number of threads nor on the other rows of the batch,
// so neither does the result, to the bit. The vectors are the compiler's (GCC's and Clang's vector extension): the same
// source serves SSE, AVX, AVX-512 and ARM.

#if defined(__linux__)
#include <sched.h>
#endif
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16, kRows = 6;  // 32 registers: 6 x 4 sums, 4 weights, 1 input
#elif defined(__AVX__)
constexpr int kLanes = 8, kRows = 3;  // 16 registers
#elif defined(__aarch64__)
constexpr int kLanes = 4, kRows = 6;  // 32 registers
#else
constexpr int kLanes = 4, kRows = 3;
#endif
constexpr int kVectors = 4;                // vectors of a block: four gates of kLanes units, or any columns
constexpr int kPanel = kVectors * kLanes;  // floats of one row of a panel

typedef float Vector __attribute__((vector_size(kLanes * sizeof(float))));
typedef int32_t Integers __attribute__((vector_size(kLanes * sizeof(float))));
typedef float Unaligned __attribute__((vector_size(kLanes * sizeof(float)), aligned(4), may_alias));

inline Vector load(const float* from) { return *reinterpret_cast<const Unaligned*>(from); }
inline void store(float* to, Vector value) { *reinterpret_cast<Unaligned*>(to) = value; }

// The first `count` lanes; the others are 0, and not stored.
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

// The value in every lane. (A difference, for x - 0 is x, but 0 + x is not where x is -0: that would cost an addition.)
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
inline Vector sigmoid(Vector x) { return tanh(x * 0.5f) * 0.5f + 0.5f; }

// exp of what is not above 0, within 2 units in the last place: 2^n times a polynomial (the coefficients of Cephes' expf).
inline Vector exp(Vector x) {
  const Vector limit = constant(-87.0f);
  x = (Vector)((x < limit) ? limit : x);
  const Vector shift = constant(12582912.0f);  // 1.5 * 2^23: adding it rounds to a whole number, kept in the low bits
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

// sums[r][v] += a[r][k] * b[k][v] over k: R rows by V vectors, of which one may be known to be 0 and is left out; a's
// rows are `stride` apart, its columns `step`.
constexpr int kNone = -1;
template <int left_out, int R, int V>
inline __attribute__((always_inline)) void multiply(Vector (&sums)[R][V], const float* a, int64_t stride, int64_t step,
                                                    const float* b, int64_t count) {
#pragma GCC unroll 4
  for (int64_t k = 0; k < count; ++k, b += V * kLanes) {
    Vector inputs[R];
    for (int r = 0; r < R; ++r) inputs[r] = constant(a[r * stride + k * step]);
    // Each weight is loaded once: sums, inputs and one weight are just what 16 registers hold.
    for (int v = 0; v < V; ++v) {
      if (v == left_out) continue;
      const Vector weight = load(b + v * kLanes);
      for (int r = 0; r < R; ++r) sums[r][v] += inputs[r] * weight;
    }
  }
}

// log of a normal number above 0, within 2 units in the last place (the coefficients of Cephes' logf).
inline Vector log(Vector x) {
  const Integers bits = (Integers)x;
  Vector m = (Vector)((bits & 0x007fffff) | 0x3f000000);  // x = m 2^exponent, m from 1/2 to 1
  const Integers small = (Integers)(m < 0.70710678f);     // -1 where it holds
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

// Calls f<R>(first row) for blocks of at most kRows rows of about equal size.
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

}  // namespace

// ---------------------------------------------------------------------------------------------------- threads

// Both parts of the library (see its end) share the threads and their memory, so these have names of their own.
namespace flaxchar {

inline void pause_briefly(int turn) {
#if defined(__x86_64__)
  if (turn < 4000) return __builtin_ia32_pause();
#elif defined(__aarch64__)
  if (turn < 4000) return (void)__asm__ volatile("yield");
#endif
  std::this_thread::yield();  // there are fewer cores than threads
}

// Where a fixed number of threads wait for one another.
class Barrier {
 public:
  explicit Barrier(int members) : members_(members) {}
  void wait() {
    if (members_ == 1) return;
    const int round = round_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) == members_ - 1) {
      arrived_.store(0, std::memory_order_relaxed);
      round_.store(round + 1, std::memory_order_release);
    } else {
      for (int turn = 0; round_.load(std::memory_order_acquire) == round; ++turn) pause_briefly(turn);
    }
  }

 private:
  const int members_;
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<int> round_{0};
};

// The core the calling thread is on, or -1; and a move away from a core, where there is another. (The kernel may wake a
// thread on the core of the one that wakes it; working together, the two would wait for one another's turn.)
#if defined(__linux__)
inline int this_core() { return sched_getcpu(); }
inline void leave_core(int core) {
  static const cpu_set_t all = [] {
    cpu_set_t cores;
    if (sched_getaffinity(getpid(), sizeof(cores), &cores) != 0) CPU_ZERO(&cores);
    return cores;
  }();
  if (core < 0 || sched_getcpu() != core) return;
  cpu_set_t others = all;
  CPU_CLR(core, &others);
  if (CPU_COUNT(&others) > 0) sched_setaffinity(0, sizeof(others), &others);
}
#else
inline int this_core() { return -1; }
inline void leave_core(int) {}
#endif

// The process' threads. They live as long as it does: they spin a little for the next job, then sleep.
class Pool {
 public:
  static Pool& get() {
    static Pool* pool = new Pool;  // never deleted: its threads may outlive static destructors
    return *pool;
  }

  // Runs body(member, members) on up to `wanted` threads, the caller's among them, until all are done. A caller that
  // finds the pool in use works alone.
  template <typename Body>
  void run(int wanted, Body body) {
    std::unique_lock<std::mutex> lock(in_use_, std::try_to_lock);
    if (wanted <= 1 || !lock.owns_lock()) return body(0, 1);
    while (static_cast<int>(workers_) < wanted - 1) {
      std::thread(&Pool::work, this, ++workers_, job_.load()).detach();
    }
    body_ = &body;
    call_ = [](void* body, int member, int members) { (*static_cast<Body*>(body))(member, members); };
    members_ = wanted;
    core_ = this_core();
    pending_.store(workers_, std::memory_order_relaxed);
    {
      std::lock_guard<std::mutex> guard(mutex_);
      job_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    body(0, wanted);
    for (int turn = 0; pending_.load(std::memory_order_acquire) > 0; ++turn) pause_briefly(turn);
  }

 private:
  void work(int member, int seen) {
    for (;;) {
      for (int turn = 0; job_.load(std::memory_order_acquire) == seen && turn < 5000; ++turn) pause_briefly(turn);
      if (job_.load(std::memory_order_acquire) == seen) {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return job_.load(std::memory_order_acquire) != seen; });
      }
      ++seen;
      leave_core(core_);
      if (member < members_) call_(body_, member, members_);
      pending_.fetch_sub(1, std::memory_order_release);
    }
  }

  std::mutex in_use_, mutex_;
  std::condition_variable wake_;
  std::atomic<int> job_{0}, pending_{0};
  int workers_ = 0, members_ = 0, core_ = -1;
  void* body_ = nullptr;
  void (*call_)(void*, int, int) = nullptr;
};

// Memory of a call, kept by its thread for the next one: mapping it anew would cost as much as a time step or two.
inline float* scratch(int slot, int64_t floats) {
  static thread_local std::vector<std::unique_ptr<float, decltype(&std::free)>> kept;
  static thread_local std::vector<int64_t> sizes;
  while (static_cast<int>(kept.size()) <= slot) {
    kept.emplace_back(nullptr, &std::free);
    sizes.push_back(0);
  }
  if (sizes[slot] < floats) {
    sizes[slot] = (floats + 15) / 16 * 16;
    kept[slot].reset(static_cast<float*>(std::aligned_alloc(64, sizes[slot] * sizeof(float))));
  }
  return kept[slot].get();
}

}  // namespace flaxchar

namespace {

using namespace flaxchar;

struct Range {
  int64_t begin, end;
};
inline Range share(int64_t count, int member, int members) {
  return {count * member / members, count * (member + 1) / members};
}

// ---------------------------------------------------------------------------------------------------- matrices

// How the columns of a weight matrix lie in panels of kVectors vectors: in order, or, for a layer's gates, so that a
// panel holds all four gates of kLanes units. What fills up the last panels is 0.
struct Columns {
  int64_t count;   // of a row of the matrix
  int64_t hidden;  // of a layer with gates, else 0

  int64_t panels() const { return hidden ? (hidden + kLanes - 1) / kLanes : (count + kPanel - 1) / kPanel; }
  int64_t width() const { return panels() * kPanel; }  // floats of a row in panels
  int64_t offset(int64_t panel, int v) const {
    return hidden ? v * hidden + panel * kLanes : panel * kPanel + v * kLanes;
  }
  int lanes(int64_t panel, int v) const {
    const int64_t rest = hidden ? hidden - panel * kLanes : count - offset(panel, v);
    return static_cast<int>(std::clamp<int64_t>(rest, 0, kLanes));
  }
};

// weights [rows, columns] → [panel][row][kPanel]
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

// weights [rows, columns] → their transpose, its columns in panels: [row / kPanel][column in panels][row % kPanel]
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
int64_t transposed_size(const Columns& columns, int64_t rows) {
  return (rows + kPanel - 1) / kPanel * kPanel * columns.width();
}

// Pairs of (time step, row) that are summed over at once in a weight gradient: a panel of them stays in the first cache.
constexpr int64_t kDepth = 6144 / kPanel;

// What a product sums over: rows [pairs, columns], the first few of them from elsewhere.
struct Inputs {
  const float* first;
  int64_t first_count;
  const float* rest;
  int64_t columns;
  const float* row(int64_t pair) const {
    return pair < first_count ? first + pair * columns : rest + (pair - first_count) * columns;
  }
};

// Gradients that reach the outputs of `inputs W + b`, and what follows from them: for a stretch of the pairs at a time,
// so that they are still in a cache when they are used.
struct OutputGradient {
  Columns columns;
  float* values;  // [pairs of a stretch, columns in panels]

  float* row(int64_t pair) const { return values + pair * columns.width(); }

  // sums = R rows from `pair` on times packed transposed weights, for kPanel inputs from `first` on; `left_out`: which
  // vector of a panel these weights have no columns for.
  template <int left_out, int R>
  void through(Vector (&sums)[R][kVectors], int64_t pair, const float* transposed, int64_t first) const {
    for (auto& row : sums) std::fill(row, row + kVectors, Vector{});
    const float *from = row(pair), *weights = transposed + first * columns.width();
    if constexpr (left_out == kNone) {
      multiply<kNone>(sums, from, columns.width(), 1, weights, columns.width());
    } else {
      constexpr int before = left_out * kLanes, after = before + kLanes;
      for (int64_t panel = 0; panel < columns.panels(); ++panel, from += kPanel, weights += kPanel * kPanel) {
        multiply<kNone>(sums, from, columns.width(), 1, weights, before);
        if (after < kPanel) {
          multiply<kNone>(sums, from + after, columns.width(), 1, weights + after * kPanel, kPanel - after);
        }
      }
    }
  }

  // to [pairs, inputs] = values W^T, for some pairs.
  template <int left_out>
  void input_gradient(const float* transposed, Range some, int64_t inputs, float* to) const {
    for_row_blocks(some.begin, some.end, [&](auto rows, int64_t pair) {
      constexpr int R = decltype(rows)::value;
      for (int64_t panel = 0; panel * kPanel < inputs; ++panel) {
        Vector sums[R][kVectors];
        through<left_out>(sums, pair, transposed, panel * kPanel);
        for (int v = 0; v < kVectors; ++v) {
          const int64_t first = panel * kPanel + v * kLanes;
          const int lanes = static_cast<int>(std::clamp<int64_t>(inputs - first, 0, kLanes));
          for (int r = 0; r < R; ++r) store(to + (pair + r) * inputs + first, sums[r][v], lanes);
        }
      }
    });
  }

  // sums [panel][row][kPanel] += inputs^T values, for some rows, over the first `count` pairs of the stretch, whose
  // inputs stand from `first` on; `fresh`: to zeros.
  template <int left_out>
  void add_products(const Inputs& inputs, int64_t first, int64_t count, Range rows, bool fresh, float* sums) const {
    const int64_t whole = (rows.end - rows.begin) / kRows * kRows, rest = rows.end - rows.begin - whole;
    float* tiles = scratch(6, kDepth * (whole + rest));  // [block of rows][pair][row of the block]
    float* panel_values = scratch(7, kDepth * kPanel);
    const int64_t parts = (count + kDepth - 1) / kDepth;
    for (int64_t part = 0; part < parts; ++part) {
      const Range some = share(count, part, parts);
      const int64_t depth = some.end - some.begin;
      for (int64_t k = 0; k < depth; ++k) {
        const float* from = inputs.row(first + some.begin + k) + rows.begin;
        float* to = tiles + k * kRows;
        for (int64_t row = 0; row < whole; row += kRows, to += depth * kRows) {
          std::memcpy(to, from + row, kRows * sizeof(float));
        }
        std::copy_n(from + whole, rest, tiles + whole * depth + k * rest);
      }
      for (int64_t panel = 0; panel < columns.panels(); ++panel) {
        for (int64_t k = 0; k < depth; ++k) {
          std::memcpy(panel_values + k * kPanel, row(some.begin + k) + panel * kPanel, kPanel * sizeof(float));
        }
        const auto block = [&](auto size, int64_t row) {
          constexpr int R = decltype(size)::value;
          float* place = sums + (panel * inputs.columns + rows.begin + row) * kPanel;
          Vector block_sums[R][kVectors] = {};
          for (int k = 0; k < R * kVectors && !(fresh && part == 0); ++k) {
            block_sums[k / kVectors][k % kVectors] = load(place + k * kLanes);
          }
          multiply<left_out>(block_sums, tiles + row * depth, 1, R, panel_values, depth);
          for (int k = 0; k < R * kVectors; ++k) store(place + k * kLanes, block_sums[k / kVectors][k % kVectors]);
        };
        for (int64_t row = 0; row < whole; row += kRows) block(std::integral_constant<int, kRows>(), row);
        for_row_blocks(whole, whole + rest, block);
      }
    }
  }

  // Some rows of sums [panel][row][kPanel] as they lie in a matrix [rows of it, columns].
  void unpack(const float* sums, int64_t all_rows, Range rows, float* to) const {
    for (int64_t panel = 0; panel < columns.panels(); ++panel) {
      for (int64_t row = rows.begin; row < rows.end; ++row) {
        for (int v = 0; v < kVectors; ++v) {
          const float* from = sums + (panel * all_rows + row) * kPanel + v * kLanes;
          store(to + row * columns.count + columns.offset(panel, v), load(from), columns.lanes(panel, v));
        }
      }
    }
  }

  // sums [panel][row][kPanel]: adds the first `count` pairs' values to the rows that `ids` name, or to the only one: a
  // table's gradient, or a bias'. Some panels of it; `fresh`: to zeros.
  void add_rows(const int32_t* ids, int64_t count, Range panels, int64_t rows, bool fresh, float* sums) const {
    for (int64_t panel = panels.begin; panel < panels.end; ++panel) {
      float* panel_sums = sums + panel * rows * kPanel;
      if (fresh) std::fill_n(panel_sums, rows * kPanel, 0.0f);
      for (int64_t pair = 0; pair < count; ++pair) {
        float* to = panel_sums + (ids ? ids[pair] * kPanel : 0);
        const float* from = row(pair) + panel * kPanel;
        for (int k = 0; k < kPanel; k += kLanes) store(to + k, load(to + k) + load(from + k));
      }
    }
  }
};

// ---------------------------------------------------------------------------------------------------- recurrence

// The cells, by the numbers that flaxchar/native.py gives them. What they compute for a unit:
//   LSTM  four gates: i, f, g, o
//   GRU   four sums: of the gates z and r, and apart, for r multiplies the second, n's of the input and of the state
//   RNN   one
enum Cell : int64_t { kLstm, kGru, kRnn };

// Which of a GRU's four sums the inputs, and the state, have no weights for.
constexpr int without_inputs(Cell cell) { return cell == kGru ? 3 : kNone; }
constexpr int without_state(Cell cell) { return cell == kGru ? 2 : kNone; }

// Calls f with a cell as a type, so that what it calls is compiled for each.
template <typename F>
void for_cell(Cell cell, F f) {
  switch (cell) {
    case kLstm: return f(std::integral_constant<Cell, kLstm>());
    case kGru: return f(std::integral_constant<Cell, kGru>());
    case kRnn: return f(std::integral_constant<Cell, kRnn>());
  }
}

// The arguments of a layer. Either `ids` [time, batch] with the table `kernel` [features, gates hidden], to whose rows
// the bias has been added, or `inputs` [time, batch, features] with `kernel` and `bias` [gates hidden].
struct Layer {
  Cell cell;
  int64_t time, batch, hidden, features;
  const int32_t* ids;
  const float* inputs;
  const float* kernel;
  const float* bias;
  const float* recurrent;  // [hidden, gates hidden]
  const float* h0;         // [batch, hidden]
  const float* c0;         // [batch, hidden]; of an LSTM
  const float* mask;       // [batch, hidden]: what the state is multiplied with before the recurrent product; or null

  Columns gates() const { return cell == kRnn ? Columns{hidden, 0} : Columns{4 * hidden, hidden}; }
  int64_t panel_units() const { return cell == kRnn ? kPanel : kLanes; }
  int lanes(int64_t unit) const { return static_cast<int>(std::clamp<int64_t>(hidden - unit, 0, kLanes)); }

  // How many threads share the rows, the others of `threads` sharing the units: rows where each thread's core can hold
  // the weights and has rows enough to make them worth reading.
  int row_groups(int threads) const {
    static const long cache = std::max(sysconf(_SC_LEVEL2_CACHE_SIZE), 1L << 18);
    const int64_t weights = (hidden + (ids ? 0 : features)) * gates().width() * sizeof(float);
    int groups = threads;
    while (groups > 1 && (threads % groups != 0 || batch < 3 * groups ||
                          (weights * groups / threads > cache * 3 / 4 && batch < 64 * groups))) {
      --groups;
    }
    return groups;
  }
};

// What one thread of a layer works on.
struct Part {
  Range rows, panels;
  Barrier* barrier;  // of those that share its rows
};

class Team {
 public:
  Team(const Layer& layer, int threads)
      : layer_(layer), row_groups_(layer.row_groups(threads)), unit_groups_(threads / row_groups_) {
    for (int group = 0; group < row_groups_; ++group) barriers_.push_back(std::make_unique<Barrier>(unit_groups_));
  }
  Part part(int member, int members) {
    const int64_t panels = layer_.gates().panels();
    if (members == 1) return {{0, layer_.batch}, {0, panels}, &alone_};
    const int group = member / unit_groups_;
    return {share(layer_.batch, group, row_groups_), share(panels, member % unit_groups_, unit_groups_),
            barriers_[group].get()};
  }

 private:
  const Layer& layer_;
  const int row_groups_, unit_groups_;
  std::vector<std::unique_ptr<Barrier>> barriers_;
  Barrier alone_{1};
};

struct Forward {
  Layer layer;
  float* hs;     // [time, batch, hidden]
  float* cs;     // [time, batch, hidden]; of an LSTM
  float* gates;  // [time, batch, 4 hidden in panels]; but of an RNN
  float* fed;    // [time, batch, hidden]: the state before each step times the mask; where there is one

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
    multiply<without_state(cell)>(z, layer.mask ? fed + at * hidden : h_before, hidden, 1,
                                  recurrent + panel * hidden * kPanel, hidden);
    const auto put = [&](int r, int64_t unit, int lanes, Vector h) {
      const int64_t to = (at + r) * hidden + unit;
      store(hs + to, h, lanes);
      if (!layer.mask || t + 1 == layer.time) return;
      store(fed + to + layer.batch * hidden, h * load(layer.mask + (row + r) * hidden + unit, lanes), lanes);
    };
    if constexpr (cell == kRnn) {
      for (int v = 0; v < kVectors; ++v) {
        const int lanes = layer.lanes(unit + v * kLanes);
        for (int r = 0; r < R && lanes > 0; ++r) put(r, unit + v * kLanes, lanes, tanh(z[r][v]));
      }
      return;
    }
    const int lanes = layer.lanes(unit);
    const float* c_before = t == 0 ? layer.c0 + row * hidden : cs + before * hidden;
    for (int r = 0; r < R; ++r) {
      float* kept = gates + (at + r) * columns.width() + panel * kPanel;
      const auto keep = [&](Vector a, Vector b, Vector c, Vector d) {
        store(kept, a), store(kept + kLanes, b), store(kept + 2 * kLanes, c), store(kept + 3 * kLanes, d);
      };
      if constexpr (cell == kLstm) {
        const Vector i = sigmoid(z[r][0]), f = sigmoid(z[r][1]), g = tanh(z[r][2]), o = sigmoid(z[r][3]);
        const Vector c = f * load(c_before + r * hidden + unit, lanes) + i * g;
        keep(i, f, g, o);
        store(cs + (at + r) * hidden + unit, c, lanes);
        put(r, unit, lanes, o * tanh(c));
      } else {
        const Vector update = sigmoid(z[r][0]), reset = sigmoid(z[r][1]), n = tanh(z[r][2] + reset * z[r][3]);
        keep(update, reset, n, z[r][3]);
        put(r, unit, lanes, update * load(h_before + r * hidden + unit, lanes) + (1.0f - update) * n);
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
    Barrier prepared_by_all(threads);
    Pool::get().run(threads, [&](int member, int members) {
      const Part part = team.part(member, members);
      const Range panels = share(columns.panels(), member, members);
      pack(columns, layer.kernel, inputs, panels, kernel);
      pack(columns, layer.recurrent, layer.hidden, panels, recurrent);
      const Range states = share(layer.mask ? layer.batch * layer.hidden : 0, member, members);
      for (int64_t k = states.begin; k < states.end; ++k) fed[k] = layer.h0[k] * layer.mask[k];
      if (members > 1) prepared_by_all.wait();
      for (int64_t t = 0; t < layer.time; ++t) {
        for (int64_t panel = part.panels.begin; panel < part.panels.end; ++panel) {
          for_row_blocks(part.rows.begin, part.rows.end, [&](auto rows, int64_t row) {
            block<cell, decltype(rows)::value>(t, row, panel, kernel, recurrent);
          });
        }
        part.barrier->wait();  // the next step reads all units of these rows
      }
    });
  }

  void run(int threads) const {
    for_cell(layer.cell, [&](auto cell) { run_cell<decltype(cell)::value>(threads); });
  }
};

struct Backward {
  Layer layer;
  const float* hs;
  const float* cs;
  const float* gates;
  const float* fed;
  const float* d_hs;  // [time, batch, hidden]
  const float* d_h;   // [batch, hidden], of the state after the last step
  const float* d_c;
  float* d_inputs;     // [time, batch, features]; not for ids
  float* d_kernel;     // [features, gates hidden]
  float* d_bias;       // [gates hidden]; not for ids
  float* d_recurrent;  // [hidden, gates hidden]
  float* d_fed;        // [batch, hidden]: of what the first step's recurrent product read
  // [batch, hidden]: what reaches the state before past the recurrent product, of an LSTM its cell, of a GRU its hidden
  // state; in between, the state before the step at hand.
  float* d_past;

  // Step t for R rows and kPanel units from `first` on: dh from the step after, then everything that hangs on it. The
  // rows' pairs in the stretch are from `pair` on, those of the step after from `later` on.
  template <Cell cell, int R>
  void block(int64_t t, int64_t row, int64_t pair, int64_t later, int64_t first, const OutputGradient& z,
             const float* transposed) const {
    const int64_t at = t * layer.batch + row, hidden = layer.hidden, width = z.columns.width();
    const bool last = t + 1 == layer.time;
    Vector from_later[R][kVectors];
    if (!last) z.through<without_state(cell)>(from_later, later, transposed, first);
    // An RNN's last panel may have vectors without a unit; they are to be 0.
    for (int v = 0; v < kVectors && (cell == kRnn || first + v * kLanes < hidden); ++v) {
      const int64_t unit = first + v * kLanes, panel = unit / layer.panel_units();
      const int lanes = layer.lanes(unit);
      for (int r = 0; r < R; ++r) {
        const int64_t state = (row + r) * hidden + unit, here = (at + r) * hidden + unit;
        if (!last && layer.mask) from_later[r][v] *= load(layer.mask + state, lanes);
        const Vector d_h_here = load(d_hs + here, lanes) + (last ? load(d_h + state, lanes) : from_later[r][v]);
        if constexpr (cell == kRnn) {
          const Vector h = load(hs + here, lanes);
          store(z.row(pair + r) + unit, d_h_here * (1.0f - h * h));
          continue;
        }
        const float* kept = gates + (at + r) * width + panel * kPanel;
        float* d_gates = z.row(pair + r) + panel * kPanel;
        const auto give = [&](Vector a, Vector b, Vector c, Vector d) {
          store(d_gates, a), store(d_gates + kLanes, b), store(d_gates + 2 * kLanes, c), store(d_gates + 3 * kLanes, d);
        };
        if constexpr (cell == kLstm) {
          const Vector i = load(kept), f = load(kept + kLanes), g = load(kept + 2 * kLanes), o = load(kept + 3 * kLanes);
          const Vector tanh_c = tanh(load(cs + here, lanes));
          const Vector c_before = load(t == 0 ? layer.c0 + state : cs + here - layer.batch * hidden, lanes);
          const Vector d_c_here =
              load(last ? d_c + state : d_past + state, lanes) + d_h_here * o * (1.0f - tanh_c * tanh_c);
          give(d_c_here * g * i * (1.0f - i), d_c_here * c_before * f * (1.0f - f), d_c_here * i * (1.0f - g * g),
               d_h_here * tanh_c * o * (1.0f - o));
          store(d_past + state, d_c_here * f, lanes);
        } else {
          const Vector update = load(kept), reset = load(kept + kLanes), n = load(kept + 2 * kLanes);
          const Vector h_before = load(t == 0 ? layer.h0 + state : hs + here - layer.batch * hidden, lanes);
          const Vector d_h_all = last ? d_h_here : d_h_here + load(d_past + state, lanes);
          const Vector d_n = d_h_all * (1.0f - update) * (1.0f - n * n);
          give(d_h_all * (h_before - n) * update * (1.0f - update),
               d_n * load(kept + 3 * kLanes) * reset * (1.0f - reset), d_n, d_n * reset);
          store(d_past + state, d_h_all * update, lanes);
        }
      }
    }
  }

  template <Cell cell>
  void run_cell(int threads) const {
    const int64_t time = layer.time, batch = layer.batch, hidden = layer.hidden, features = layer.features;
    const Columns columns = layer.gates();
    // Time steps of a stretch; at least two, so that a step does not take the place of the one after it.
    const int64_t steps = std::min(time, std::max<int64_t>(2, kDepth / batch));
    float* recurrent = scratch(0, transposed_size(columns, hidden));
    float* kernel = scratch(1, layer.ids ? 0 : transposed_size(columns, features));
    const OutputGradient z{columns, scratch(2, columns.width() * steps * batch)};
    float* recurrent_sums = scratch(3, hidden * columns.width());
    float* kernel_sums = scratch(4, features * columns.width());
    float* bias_sums = scratch(5, columns.width());
    const Inputs fed_back = layer.mask ? Inputs{nullptr, 0, fed, hidden} : Inputs{layer.h0, batch, hs, hidden};
    Team team(layer, threads);
    Barrier all(threads);
    Pool::get().run(threads, [&](int member, int members) {
      const auto meet = [&] {
        if (members > 1) all.wait();
      };
      const auto mine = [&](int64_t count) { return share(count, member, members); };
      const Part part = team.part(member, members);
      const Range panels = mine(columns.panels());
      pack_transpose(columns, layer.recurrent, hidden, panels, recurrent);
      if (!layer.ids) pack_transpose(columns, layer.kernel, features, panels, kernel);
      meet();
      // Whole blocks of kPanel units; the last part takes what is left over.
      const int64_t first_unit = part.panels.begin * layer.panel_units() / kPanel * kPanel;
      const int64_t last_unit =
          part.panels.end == columns.panels() ? hidden : part.panels.end * layer.panel_units() / kPanel * kPanel;
      for (int64_t begin = (time - 1) / steps * steps; begin >= 0; begin -= steps) {
        const int64_t end = std::min(time, begin + steps), first = begin * batch, count = (end - begin) * batch;
        for (int64_t t = end - 1; t >= begin; --t) {
          const int64_t pair = (t - begin) * batch, later = (t + 1 - begin) % steps * batch;
          for (int64_t unit = first_unit; unit < last_unit; unit += kPanel) {
            for_row_blocks(part.rows.begin, part.rows.end, [&](auto rows, int64_t row) {
              block<cell, decltype(rows)::value>(t, row, pair + row, later + row, unit, z, recurrent);
            });
          }
          part.barrier->wait();  // the step before reads all units of these rows
        }
        meet();
        const bool fresh = end == time;
        if (begin == 0) z.input_gradient<without_state(cell)>(recurrent, mine(batch), hidden, d_fed);
        z.add_products<without_state(cell)>(fed_back, first, count, mine(hidden), fresh, recurrent_sums);
        if (layer.ids) {
          z.add_rows(layer.ids + first, count, panels, features, fresh, kernel_sums);
        } else {
          z.add_rows(nullptr, count, panels, 1, fresh, bias_sums);
          z.input_gradient<without_inputs(cell)>(kernel, mine(count), features, d_inputs + first * features);
          const Inputs inputs{nullptr, 0, layer.inputs, features};
          z.add_products<without_inputs(cell)>(inputs, first, count, mine(features), fresh, kernel_sums);
        }
        meet();  // the next stretch takes the place of this one
      }
      z.unpack(recurrent_sums, hidden, mine(hidden), d_recurrent);
      z.unpack(kernel_sums, features, mine(features), d_kernel);
      if (!layer.ids && member == 0) z.unpack(bias_sums, 1, {0, 1}, d_bias);
    });
  }

  void run(int threads) const {
    for_cell(layer.cell, [&](auto cell) { run_cell<decltype(cell)::value>(threads); });
  }
};

// ---------------------------------------------------------------------------------------------------- cross-entropy

// Of targets [pairs] under softmax(inputs W + b): inputs [pairs, features], W [features, vocab], b [vocab].
struct CrossEntropy {
  int64_t pairs, features;
  Columns vocab;
  const float* inputs;
  const float* kernel;
  const float* bias;
  const int32_t* targets;

  // nats [pairs], and the softmax [pairs, vocab in panels], 0 in the panels' last columns.
  void forward(float* nats, float* softmax, int threads) const {
    float* packed = scratch(0, features * vocab.width());
    Barrier packed_by_all(threads);
    Pool::get().run(threads, [&](int member, int members) {
      pack(vocab, kernel, features, share(vocab.panels(), member, members), packed);
      if (members > 1) packed_by_all.wait();
      const Range mine = share(pairs, member, members);
      logits(packed, mine, softmax);
      for (int64_t pair = mine.begin; pair < mine.end; ++pair) {
        nats[pair] = normalize(softmax + pair * vocab.width(), targets[pair]);
      }
    });
  }

  // inputs W + b from packed W, for some pairs: [pairs, vocab in panels]
  void logits(const float* packed, Range some, float* to) const {
    for_row_blocks(some.begin, some.end, [&](auto rows, int64_t at) {
      constexpr int R = decltype(rows)::value;
      for (int64_t panel = 0; panel < vocab.panels(); ++panel) {
        Vector sums[R][kVectors];
        for (int r = 0; r < R; ++r) {
          for (int v = 0; v < kVectors; ++v) {
            sums[r][v] = load(bias + vocab.offset(panel, v), vocab.lanes(panel, v));
          }
        }
        multiply<kNone>(sums, inputs + at * features, features, 1, packed + panel * features * kPanel, features);
        for (int r = 0; r < R; ++r) {
          for (int v = 0; v < kVectors; ++v) {
            store(to + (at + r) * vocab.width() + panel * kPanel + v * kLanes, sums[r][v]);
          }
        }
      }
    });
  }

  // Logits, in place, into their softmax; returns the target's cross-entropy.
  float normalize(float* row, int32_t target) const {
    std::fill(row + vocab.count, row + vocab.width(), -INFINITY);
    Vector most = load(row);
    for (int64_t k = kLanes; k < vocab.width(); k += kLanes) {
      const Vector logits = load(row + k);
      most = (Vector)((logits > most) ? logits : most);
    }
    float greatest = most[0];
    for (int lane = 1; lane < kLanes; ++lane) greatest = std::max(greatest, most[lane]);
    const float target_logit = row[target] - greatest;
    Vector sums = {};
    for (int64_t k = 0; k < vocab.width(); k += kLanes) {
      const Vector e = exp(load(row + k) - greatest);
      sums += e;
      store(row + k, e);
    }
    float sum = 0.0f;
    for (int lane = 0; lane < kLanes; ++lane) sum += sums[lane];
    const float scale = 1.0f / sum;
    for (int64_t k = 0; k < vocab.width(); k += kLanes) store(row + k, load(row + k) * scale);
    std::fill(row + vocab.count, row + vocab.width(), 0.0f);
    return std::log(sum) - target_logit;
  }

  // From d_nats [pairs] to everything before it.
  void backward(const float* d_nats, const float* softmax, float* d_inputs, float* d_kernel, float* d_bias,
                int threads) const {
    float* transposed = scratch(0, transposed_size(vocab, features));
    const int64_t stretch = std::min(pairs, 2 * kDepth);
    const OutputGradient d_logits{vocab, scratch(2, vocab.width() * stretch)};
    float* kernel_sums = scratch(3, features * vocab.width());
    float* bias_sums = scratch(4, vocab.width());
    Barrier all(threads);
    Pool::get().run(threads, [&](int member, int members) {
      const auto meet = [&] {
        if (members > 1) all.wait();
      };
      const auto mine = [&](int64_t count) { return share(count, member, members); };
      pack_transpose(vocab, kernel, features, mine(vocab.panels()), transposed);
      meet();
      for (int64_t first = 0; first < pairs; first += stretch) {
        const int64_t count = std::min(stretch, pairs - first);
        const Range some = mine(count);
        for (int64_t pair = some.begin; pair < some.end; ++pair) {
          const float scale = d_nats[first + pair];
          const float* from = softmax + (first + pair) * vocab.width();
          for (int64_t k = 0; k < vocab.width(); k += kLanes) store(d_logits.row(pair) + k, load(from + k) * scale);
          d_logits.row(pair)[targets[first + pair]] -= scale;
        }
        d_logits.input_gradient<kNone>(transposed, some, features, d_inputs + first * features);
        meet();
        const Inputs read{nullptr, 0, inputs, features};
        d_logits.add_products<kNone>(read, first, count, mine(features), first == 0, kernel_sums);
        d_logits.add_rows(nullptr, count, mine(vocab.panels()), 1, first == 0, bias_sums);
        meet();  // the next stretch takes the place of this one
      }
      d_logits.unpack(kernel_sums, features, mine(features), d_kernel);
      if (member == 0) d_logits.unpack(bias_sums, 1, {0, 1}, d_bias);
    });
  }
};

// ---------------------------------------------------------------------------------------------------- decode

typedef uint32_t Words __attribute__((vector_size(kLanes * sizeof(uint32_t))));

struct Key {
  uint32_t first, second;
};

// Threefry-2x32 with 20 rounds (Salmon et al. 2011, https://doi.org/10.1145/2063384.2063405), as in jax.random.
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

// jax.random.fold_in
Key fold_in(Key key, uint32_t data) {
  uint32_t x = 0, y = data;
  threefry(key, x, y);
  return {x, y};
}

// The Gumbel noise that jax.random.categorical adds to the logits, for tokens `first` on.
Vector gumbel(Key key, uint32_t first) {
  Words x = {}, y = {};
  for (int lane = 0; lane < kLanes; ++lane) y[lane] = first + lane;
  threefry(key, x, y);
  const Vector uniform = (Vector)(((x ^ y) >> 9) | 0x3f800000u) - 1.0f + 1.17549435e-38f;
  return -log(-log(uniform));
}

// A model and how to draw from it; the members as flaxchar/native.py fills them in.
struct Decoder {
  int64_t cell, layers, hidden, vocab, features;  // features: rows of the first layer's kernel
  const float* const* kernels;     // [layers]: first [features, gates] with the bias added, then dense ones
  const float* const* biases;      // [layers]
  const float* const* recurrents;  // [layers]
  const float* head;               // [hidden, vocab]
  const float* head_bias;                   // [vocab]
  const uint8_t* banned;                    // [vocab]
  float temperature, top_p;
  int64_t top_k;

  // The id drawn from logits [vocab], which are overwritten. As draw_token in flaxchar/generate.py.
  int32_t draw(float* logits, Key key) const {
    for (int64_t id = 0; id < vocab; ++id) logits[id] = banned[id] ? -INFINITY : logits[id];
    const int32_t greatest = static_cast<int32_t>(std::max_element(logits, logits + vocab) - logits);
    if (temperature == 0.0f) return greatest;
    const float offset = logits[greatest];
    for (int64_t id = 0; id < vocab; ++id) logits[id] = (logits[id] - offset) / temperature;
    if (top_k > 0 || top_p < 1.0f) filter(logits);
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

  // -inf for what top-k and top-p exclude.
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

// Rows of text in the making, each by itself; the members as flaxchar/native.py fills them in.
struct Texts {
  int64_t count, length;
  const int32_t* given;   // [count]: how many tokens of each row are given, not drawn
  const int32_t* limits;  // [count]: how many it may have
  const Key* keys;        // [count]
  int64_t until;          // the position to stop at
  int32_t* tokens;        // [count, length]
  int32_t* positions;     // [count]: how many tokens have been fed
  uint8_t* done;          // [count]
  float* h;               // [count, layers, hidden]
  float* c;               // [count, layers, hidden]
};

// Texts that one thread writes together, kSlots at most: where one is finished the next takes its place.
constexpr int kSlots = 4 * kRows;

struct Writer {
  const Decoder& decoder;
  const Texts& texts;
  const float* const* kernels;     // packed, but for the first
  const float* const* recurrents;  // packed
  const float* head;               // packed
  std::atomic<int64_t>& next;      // the first text that nobody has begun

  template <Cell cell>
  void run(int64_t slots) const {
    const int64_t layers = decoder.layers, hidden = decoder.hidden;
    const Columns gates = Layer{cell, 1, 0, hidden}.gates(), vocab{decoder.vocab, 0};
    std::vector<int64_t> rows;  // the texts in the slots
    std::vector<float> before(2 * layers * slots * hidden), after(2 * layers * slots * hidden);  // h and c by layer
    std::vector<float> kept(slots * gates.width()), logits(slots * vocab.width());
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
                              state(after, layer, 0, 0), state(after, layer, 1, 0), kept.data(), nullptr};
        for (int64_t panel = 0; panel < gates.panels(); ++panel) {
          for_row_blocks(0, count, [&](auto block, int64_t slot) {
            forward.block<cell, decltype(block)::value>(0, slot, panel, kernels[layer], recurrents[layer]);
          });
        }
      }
      const CrossEntropy output{count, hidden, vocab, state(after, layers - 1, 0, 0), nullptr, decoder.head_bias, nullptr};
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

// ---------------------------------------------------------------------------------------------------- for XLA

// All handlers are functions of one type, so that the compiler makes XLA's wrapper of them once and not for each.
using In = ffi::RemainingArgs;
using Out = ffi::RemainingRets;

// The argument of this number. Python has seen to the types; what a cell does not have, or a call, has no elements.
ffi::AnyBuffer argument(const In& in, size_t number) { return *in.get<ffi::AnyBuffer>(number); }

template <typename T = float>
const T* read(const In& in, size_t number) {
  const ffi::AnyBuffer buffer = argument(in, number);
  return buffer.element_count() ? buffer.typed_data<T>() : nullptr;
}

float* write(const Out& out, size_t number) {
  ffi::Result<ffi::AnyBuffer> buffer = *out.get<ffi::AnyBuffer>(number);
  return buffer->element_count() ? buffer->typed_data<float>() : nullptr;
}

ffi::Error check_ids(const ffi::AnyBuffer& ids, int64_t rows) {
  const int32_t* begin = ids.typed_data<int32_t>();
  const bool known = std::all_of(begin, begin + ids.element_count(), [&](int32_t id) { return 0 <= id && id < rows; });
  return known ? ffi::Error::Success() : ffi::Error::InvalidArgument("an id is outside the vocabulary");
}

// in: what is read [time, batch, features] or ids [time, batch], kernel, bias (of ids none), recurrent, h0, c0, mask
Layer make_layer(const In& in, int64_t cell) {
  const ffi::AnyBuffer inputs = argument(in, 0), kernel = argument(in, 1), h0 = argument(in, 4);
  const bool ids = inputs.element_type() == ffi::S32;
  return {static_cast<Cell>(cell), inputs.dimensions()[0], h0.dimensions()[0], h0.dimensions()[1],
          kernel.dimensions()[0], ids ? read<int32_t>(in, 0) : nullptr, ids ? nullptr : read(in, 0), read(in, 1),
          read(in, 2), read(in, 3), read(in, 4), read(in, 5), read(in, 6)};
}

// in: a layer; out: hs, cs, gates, fed
ffi::Error forward(In in, Out out, int64_t cell, int64_t threads) {
  const Layer layer = make_layer(in, cell);
  if (layer.ids) {
    if (auto error = check_ids(argument(in, 0), layer.features); error.failure()) return error;
  }
  Forward{layer, write(out, 0), write(out, 1), write(out, 2), write(out, 3)}.run(static_cast<int>(threads));
  return ffi::Error::Success();
}

// in: a layer, hs, cs, gates, fed, d_hs, d_h, d_c; out: d_inputs, d_kernel, d_bias, d_recurrent, d_fed, d_past
ffi::Error backward(In in, Out out, int64_t cell, int64_t threads) {
  const Layer layer = make_layer(in, cell);
  Backward{layer,        read(in, 7),   read(in, 8),   read(in, 9),   read(in, 10),  read(in, 11),  read(in, 12),
           read(in, 13), write(out, 0), write(out, 1), write(out, 2), write(out, 3), write(out, 4), write(out, 5)}
      .run(static_cast<int>(threads));
  return ffi::Error::Success();
}

// in: inputs [count, features], kernel [features, vocab], bias [vocab], targets [count]
CrossEntropy make_cross_entropy(const In& in) {
  const ffi::AnyBuffer kernel = argument(in, 1), targets = argument(in, 3);
  const int64_t features = kernel.dimensions()[0], vocab = kernel.dimensions()[1];
  return {static_cast<int64_t>(targets.element_count()), features, {vocab, 0}, read(in, 0), read(in, 1), read(in, 2),
          read<int32_t>(in, 3)};
}

// in: as above; out: nats [count], softmax [count, panels of vocab]
ffi::Error cross_entropy_forward(In in, Out out, int64_t, int64_t threads) {
  const CrossEntropy loss = make_cross_entropy(in);
  if (auto error = check_ids(argument(in, 3), loss.vocab.count); error.failure()) return error;
  loss.forward(write(out, 0), write(out, 1), static_cast<int>(threads));
  return ffi::Error::Success();
}

// in: as above, d_nats, softmax; out: d_inputs, d_kernel, d_bias
ffi::Error cross_entropy_backward(In in, Out out, int64_t, int64_t threads) {
  make_cross_entropy(in).backward(read(in, 4), read(in, 5), write(out, 0), write(out, 1), write(out, 2),
                                  static_cast<int>(threads));
  return ffi::Error::Success();
}

}  // namespace

#define HANDLER(name)                                                                                   \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(                                                                        \
      flaxchar_##name, name,                                                                            \
      ffi::Ffi::Bind().RemainingArgs().RemainingRets().Attr<int64_t>("cell").Attr<int64_t>("threads"))

// The compiler is given this file twice at a time, once for each part: what a part does not call costs it nothing.
#if FLAXCHAR_PART == 0

HANDLER(forward);
HANDLER(cross_entropy_forward);
HANDLER(cross_entropy_backward);

extern "C" {

int flaxchar_lanes() { return kLanes; }

// Writes texts until each is done, or as far as it may go in this call.
void flaxchar_decode(const Decoder* decoder, const Texts* texts, int threads) {
  const int64_t layers = decoder->layers, hidden = decoder->hidden;
  const Columns gates = Layer{static_cast<Cell>(decoder->cell), 1, 0, hidden}.gates(), vocab{decoder->vocab, 0};
  std::vector<std::vector<float>> packed;
  std::vector<const float*> kernels, recurrents;
  const auto pack_all = [&](const Columns& columns, const float* weights) {
    packed.emplace_back(hidden * columns.width());
    pack(columns, weights, hidden, {0, columns.panels()}, packed.back().data());
    return packed.back().data();
  };
  for (int64_t layer = 0; layer < layers; ++layer) {
    kernels.push_back(layer == 0 ? nullptr : pack_all(gates, decoder->kernels[layer]));
    recurrents.push_back(pack_all(gates, decoder->recurrents[layer]));
  }
  const float* head = pack_all(vocab, decoder->head);
  std::atomic<int64_t> next{0};
  threads = static_cast<int>(std::min<int64_t>(threads, texts->count));
  const int64_t slots = std::clamp<int64_t>((texts->count + threads - 1) / threads, 1, kSlots);
  Pool::get().run(threads, [&](int, int) {
    const Writer writer{*decoder, *texts, kernels.data(), recurrents.data(), head, next};
    for_cell(static_cast<Cell>(decoder->cell), [&](auto cell) { writer.run<decltype(cell)::value>(slots); });
  });
}

}  // extern "C"

#else

HANDLER(backward);

#endif
