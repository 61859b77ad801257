// The cross-entropy of targets under a softmax over the vocabulary, and its gradients.
//
// The reference in NumPy, for inputs x [pairs, features]; a pair is (time step, row of the batch):
//
//   p = softmax(x @ W + b)                          # [pairs, vocab]
//   nats = -np.log(p[arange(pairs), targets])
//   d_logits = d_nats[:, None] * (p - one_hot(targets))
//   d_x, d_W, d_b = d_logits @ W.T, x.T @ d_logits, d_logits.sum(0)
//
// tests/kernels/test_cpu.py compares with Optax' softmax_cross_entropy_with_integer_labels.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "gradients.h"
#include "matrix.h"
#include "threads.h"
#include "vectors.h"

namespace {

struct CrossEntropy {
  int64_t pairs, features;
  Columns vocab;
  const float* inputs;     // [pairs, features]
  const float* kernel;     // W, [features, vocab]
  const float* bias;       // b, [vocab]
  const int32_t* targets;  // [pairs]

  // Writes nats [pairs] and the softmax [pairs, vocab in panels], which is 0 in the padding of the last panel.
  void forward(float* nats, float* softmax, int threads) const {
    float* packed = scratch(0, features * vocab.width());
    Barrier packed_by_all(threads);
    Pool::get().run(threads, [&](int member, int members) {
      pack(vocab, kernel, features, share(vocab.panels(), member, members), packed);
      if (members > 1) packed_by_all.wait();
      const Range own = share(pairs, member, members);
      logits(packed, own, softmax);
      for (int64_t pair = own.begin; pair < own.end; ++pair) {
        nats[pair] = normalize(softmax + pair * vocab.width(), targets[pair]);
      }
    });
  }

  // Writes the logits inputs W + b of a range of pairs, [pairs, vocab in panels], from packed W.
  void logits(const float* packed, Range pairs, float* to) const {
    for_row_blocks(pairs.begin, pairs.end, [&](auto rows, int64_t at) {
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

  // Turns a row of logits into its softmax, in place; returns the target's cross-entropy in nats.
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

  // Computes the gradients from d_nats [pairs] and the softmax that `forward` wrote.
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
      const auto own_share = [&](int64_t count) { return share(count, member, members); };
      pack_transpose(vocab, kernel, features, own_share(vocab.panels()), transposed);
      meet();
      for (int64_t first = 0; first < pairs; first += stretch) {
        const int64_t count = std::min(stretch, pairs - first);
        const Range own = own_share(count);
        for (int64_t pair = own.begin; pair < own.end; ++pair) {
          const float scale = d_nats[first + pair];
          const float* from = softmax + (first + pair) * vocab.width();
          for (int64_t k = 0; k < vocab.width(); k += kLanes) store(d_logits.row(pair) + k, load(from + k) * scale);
          d_logits.row(pair)[targets[first + pair]] -= scale;
        }
        d_logits.input_gradient<kNone>(transposed, own, features, d_inputs + first * features);
        meet();
        const Inputs x{nullptr, 0, inputs, features};
        d_logits.add_products<kNone>(x, first, count, own_share(features), first == 0, kernel_sums);
        d_logits.add_rows(nullptr, count, own_share(vocab.panels()), 1, first == 0, bias_sums);
        meet();  // the next stretch overwrites this one
      }
      d_logits.unpack(kernel_sums, features, own_share(features), d_kernel);
      if (member == 0) d_logits.unpack(bias_sums, 1, {0, 1}, d_bias);
    });
  }
};

}  // namespace
