// Pictures in blocks of 16 channels rounded to bf16 with their channels last, which is what AMX convolves,
// and the results put back.
#pragma once

#include <cstring>
#include <limits>

#include "core/cpu/parallel.h"
#include "core/kernels/arguments.h"

namespace dalle1::cpu {

inline Shape shape_in_memory(const Tensor& blocked) {
  constexpr int64_t block = 16;
  return {blocked.dim(0), (blocked.dim(1) + block - 1) / block * block, blocked.dim(2), blocked.dim(3)};
}

/// Calls body(f32 of a blocked16 tensor, index of the same 16 channels channels_last) for all of its pixels.
template <typename Body>
void for_each_block(const Tensor& blocked, int threads, const Body& body) {
  const Shape shape = shape_in_memory(blocked);
  const int64_t blocks = shape[1] / 16, pixels = shape[2] * shape[3];
  float* values = blocked.stored<float>();
  parallel_for(threads, shape[0] * pixels, 256, [&](int64_t begin, int64_t end) {
    float* picture = values + begin / pixels * blocks * pixels * 16;
    for (int64_t at = begin, pixel = begin % pixels; at < end; ++at, ++pixel) {
      if (pixel == pixels) {
        pixel = 0;
        picture += blocks * pixels * 16;
      }
      for (int64_t block = 0; block < blocks; ++block)
        body(picture + (block * pixels + pixel) * 16, (at * blocks + block) * 16);
    }
  });
}

/// Rounded to nearest even; NaN stays NaN.
inline uint16_t rounded_bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const uint32_t up = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  return static_cast<uint16_t>(value == value ? up : (bits >> 16) | 0x40);
}

/// A blocked16 tensor in bf16, channels_last, with its padding channels.
inline Tensor narrowed(const Tensor& x, int threads) {
  Tensor y = Tensor::empty(x.device(), shape_in_memory(x), DType::bf16, Layout::channels_last);
  Bf16* target = y.stored<Bf16>();
  for_each_block(x, threads, [target](const float* from, int64_t to) {
    for (int i = 0; i < 16; ++i) target[to + i] = {rounded_bits(from[i])};
  });
  return y;
}

inline Tensor narrow_result(const Tensor& y) {
  return Tensor::empty(y.device(), shape_in_memory(y), DType::f32, Layout::channels_last);
}

/// y = residual + gain * result, then ReLU, from a result of narrow_result().
inline void widen(const Tensor& result, const Conv2dEpilogue& epilogue, const Tensor& y, int threads) {
  const float* from = result.stored<float>();
  float* const target = y.stored<float>();
  const float* residual = epilogue.residual ? epilogue.residual->stored<float>() : nullptr;
  const float floor = epilogue.relu ? 0.0f : -std::numeric_limits<float>::infinity(), gain = epilogue.gain;
  for_each_block(y, threads, [=](float* to, int64_t at) {
    for (int i = 0; i < 16; ++i) {
      const float sum = gain * from[at + i] + (residual ? residual[to - target + i] : 0.0f);
      to[i] = sum < floor ? floor : sum;
    }
  });
}

}  // namespace dalle1::cpu
