#pragma once

#include <cuda_runtime.h>

#include "core/tensor/dtype.h"

struct __half {
  uint16_t bits;
  __half() = default;
  explicit __half(float value) : bits(dalle1::f32_to_f16(value)) {}
  operator float() const { return dalle1::f16_to_f32(bits); }
};
struct __half2 {
  __half x, y;
};
inline float __half2float(__half value) { return static_cast<float>(value); }
inline __half __float2half_rn(float value) { return __half(value); }
inline float2 __half22float2(__half2 two) { return {two.x, two.y}; }
inline __half2 __floats2half2_rn(float x, float y) { return {__half(x), __half(y)}; }
