// The library has two source files, so that two compilers can work at once. This one has the gradients of a layer,
// forward.cpp everything else.

#include "handlers.h"
#include "layer_backward.h"

namespace {

// in: a layer, hs, cs, gates, recurrent_input, d_hs, d_h, d_c
// out: d_inputs, d_kernel, d_bias, d_recurrent, d_recurrent_input, d_direct
ffi::Error backward(In in, Out out, int64_t cell, int64_t threads) {
  const Layer layer = make_layer(in, cell);
  Backward{layer,        read(in, 7),   read(in, 8),   read(in, 9),   read(in, 10),  read(in, 11),  read(in, 12),
           read(in, 13), write(out, 0), write(out, 1), write(out, 2), write(out, 3), write(out, 4), write(out, 5)}
      .run(static_cast<int>(threads));
  return ffi::Error::Success();
}

}  // namespace

HANDLER(backward);
