// Which of many is largest. Not differentiable: nothing here is recorded.
#pragma once

#include "core/tensor/context.h"

namespace dalle1::ops {

struct Argmax {
  Tensor values;   ///< The largest of each row, f32 [R].
  Tensor indices;  ///< Its first index, i64 [R].
};

/// Over the last axis of x [R, V].
Argmax argmax(const Tensor& x);
/// argmax(linear(x, w, bias)) in pieces of rows, whose logits stay in cache: x [R, K], w [N, K], bias [N].
Argmax linear_argmax(const Tensor& x, const Tensor& w, const Tensor& bias);

/// Whether every value is finite. Waits for the device.
bool all_finite(const Tensor& x);

}  // namespace dalle1::ops
