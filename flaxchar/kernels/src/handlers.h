// How XLA calls the kernel, through its foreign function interface (FFI).
//
// flaxchar/kernels/cpu.py makes the calls. The comment above each handler gives the order of its arguments; cpu.py must
// keep to it.
#pragma once

#include <algorithm>
#include <cstdint>

#include "layer.h"
#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

namespace {

// All handlers have the same type, so that the compiler instantiates XLA's wrapper once and not for each handler.
using In = ffi::RemainingArgs;
using Out = ffi::RemainingRets;

// An argument by its number. Python has checked the types. Python passes an empty array for an absent argument.
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

// in: inputs [time, batch, features] or ids [time, batch]; kernel; bias (not for ids); recurrent; h0; c0; mask
Layer make_layer(const In& in, int64_t cell) {
  const ffi::AnyBuffer inputs = argument(in, 0), kernel = argument(in, 1), h0 = argument(in, 4);
  const bool ids = inputs.element_type() == ffi::S32;
  return {static_cast<Cell>(cell), inputs.dimensions()[0], h0.dimensions()[0], h0.dimensions()[1],
          kernel.dimensions()[0], ids ? read<int32_t>(in, 0) : nullptr, ids ? nullptr : read(in, 0), read(in, 1),
          read(in, 2), read(in, 3), read(in, 4), read(in, 5), read(in, 6)};
}

}  // namespace

#define HANDLER(name)                                                                                   \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(                                                                        \
      flaxchar_##name, name,                                                                            \
      ffi::Ffi::Bind().RemainingArgs().RemainingRets().Attr<int64_t>("cell").Attr<int64_t>("threads"))
