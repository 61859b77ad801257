// One of the library's two source files, which are compiled at the same time: a layer over a sequence, the
// cross-entropy with its gradients, and the decode loop. backward.cpp has the gradients of a layer.

#include "cross_entropy.h"
#include "decode.h"
#include "handlers.h"
#include "layer_forward.h"

namespace {

// in: a layer; out: hs, cs, gates, recurrent_input
ffi::Error forward(In in, Out out, int64_t cell, int64_t threads) {
  const Layer layer = make_layer(in, cell);
  if (layer.ids) {
    if (auto error = check_ids(argument(in, 0), layer.features); error.failure()) return error;
  }
  Forward{layer, write(out, 0), write(out, 1), write(out, 2), write(out, 3)}.run(static_cast<int>(threads));
  return ffi::Error::Success();
}

// in: inputs [count, features], kernel [features, vocab], bias [vocab], targets [count]
CrossEntropy make_cross_entropy(const In& in) {
  const ffi::AnyBuffer kernel = argument(in, 1), targets = argument(in, 3);
  const int64_t features = kernel.dimensions()[0], vocab = kernel.dimensions()[1];
  return {static_cast<int64_t>(targets.element_count()), features, {vocab, 0}, read(in, 0), read(in, 1), read(in, 2),
          read<int32_t>(in, 3)};
}

// in: as make_cross_entropy; out: nats [count], softmax [count, vocab in panels]
ffi::Error cross_entropy_forward(In in, Out out, int64_t, int64_t threads) {
  const CrossEntropy loss = make_cross_entropy(in);
  if (auto error = check_ids(argument(in, 3), loss.vocab.count); error.failure()) return error;
  loss.forward(write(out, 0), write(out, 1), static_cast<int>(threads));
  return ffi::Error::Success();
}

// in: as make_cross_entropy, then d_nats, softmax; out: d_inputs, d_kernel, d_bias
ffi::Error cross_entropy_backward(In in, Out out, int64_t, int64_t threads) {
  make_cross_entropy(in).backward(read(in, 4), read(in, 5), write(out, 0), write(out, 1), write(out, 2),
                                  static_cast<int>(threads));
  return ffi::Error::Success();
}

}  // namespace

HANDLER(forward);
HANDLER(cross_entropy_forward);
HANDLER(cross_entropy_backward);

// What Python calls directly, by ctypes.
extern "C" {

int flaxchar_lanes() { return kLanes; }

void flaxchar_decode(const Decoder* decoder, const Buffers* texts, int threads) { decode(*decoder, *texts, threads); }

// For the tests: values[k] = f(values[k]) for `count` numbers, a multiple of the lanes, and f 0 for tanh, 1 for sigmoid,
// 2 for exp, 3 for log.
void flaxchar_apply(int f, float* values, int64_t count) {
  for (int64_t k = 0; k < count; k += kLanes) {
    const Vector x = load(values + k);
    store(values + k, f == 0 ? tanh(x) : f == 1 ? sigmoid(x) : f == 2 ? exp(x) : log(x));
  }
}

}  // extern "C"
