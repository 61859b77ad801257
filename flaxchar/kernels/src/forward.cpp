// The library has two source files, so that two compilers can work at once. This one has a layer over a sequence, the
// cross-entropy with its gradients, random bits, and the decode loop. backward.cpp has the gradients of a layer.

#include "cross_entropy.h"
#include "decode.h"
#include "handlers.h"
#include "layer_forward.h"
#include "random.h"

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

// in: keys [rows, 2], number [1]; out: bits [time, rows, words], drawn with the row's key after folding in the number.
ffi::Error random_bits(In in, Out out, int64_t, int64_t threads) {
  ffi::Result<ffi::AnyBuffer> buffer = *out.get<ffi::AnyBuffer>(0);
  const int64_t time = buffer->dimensions()[0], rows = buffer->dimensions()[1], words = buffer->dimensions()[2];
  const Key* keys = reinterpret_cast<const Key*>(read<uint32_t>(in, 0));
  const uint32_t number = static_cast<uint32_t>(*read<int32_t>(in, 1));
  float* to = static_cast<float*>(buffer->untyped_data());
  Pool::get().run(static_cast<int>(threads), [&](int member, int members) {
    const Range own = share(rows, member, members);
    for (int64_t row = own.begin; row < own.end; ++row) {
      const Key key = fold_in(keys[row], number);
      for (int64_t step = 0; step < time; ++step) {
        for (int64_t word = 0; word < words; word += kLanes) {
          const int count = static_cast<int>(std::min<int64_t>(kLanes, words - word));
          const Words drawn = bits(key, static_cast<uint32_t>(step * words + word));
          store(to + (step * rows + row) * words + word, (Vector)drawn, count);
        }
      }
    }
  });
  return ffi::Error::Success();
}

}  // namespace

HANDLER(forward);
HANDLER(random_bits);
HANDLER(cross_entropy_forward);
HANDLER(cross_entropy_backward);

// The functions that Python calls directly, through ctypes.
extern "C" {

int flaxchar_lanes() { return kLanes; }

void flaxchar_decode(const Decoder* decoder, const Buffers* texts, int threads) { decode(*decoder, *texts, threads); }

// For the tests: values[k] = f(values[k]) for k < count, a multiple of kLanes. f is 0 for tanh, 1 for sigmoid, 2 for
// exp, 3 for log.
void flaxchar_apply(int f, float* values, int64_t count) {
  for (int64_t k = 0; k < count; k += kLanes) {
    const Vector x = load(values + k);
    store(values + k, f == 0 ? tanh(x) : f == 1 ? sigmoid(x) : f == 2 ? exp(x) : log(x));
  }
}

}  // extern "C"
