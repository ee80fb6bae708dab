// Weights of a product in eight bits.
#pragma once

#include <cstdint>

#include "core/tensor/tensor.h"

namespace dalle1 {

/// Weights [N, K] as one device multiplies them, read-only: weight[n][k] = scale[n] * q[n][k], |q| <= 127.
struct Int8Weights {
  int64_t outputs = 0;  ///< N
  int64_t inputs = 0;   ///< K
  Tensor packed;        ///< i8: q in the order in which the device's kernel reads it.
  Tensor offsets;       ///< i32, where sums of products begin; see core/cpu/int8_linear.h.
  Tensor scale;         ///< f32 [N]

  bool defined() const { return packed.defined(); }
};

}  // namespace dalle1
