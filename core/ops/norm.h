// Normalisation.
#pragma once

#include "core/tensor/context.h"

namespace dalle1::ops {

/// Over the last axis (Ba et al. 2016): (x - mean) / sqrt(variance + epsilon) * w + b; w, b [C].
Tensor layer_norm(Context& context, const Tensor& x, const Tensor& w, const Tensor& b, float epsilon = 1e-5f);

/// Each run of `group` elements in the first `columns` of the last axis over its root mean square (Zhang and
/// Sennrich 2019, without a gain): x / sqrt(mean(x^2) + epsilon); what follows `columns` passes as it is.
Tensor rms_norm(Context& context, const Tensor& x, int64_t group, int64_t columns, float epsilon = 1e-5f);

/// Rotary position embedding (Su et al. 2021): each run of D elements in the first `columns` of the last
/// axis, as D / 2 pairs (i, i + D / 2), is turned by the angles of its position. table f32 [T, D]: cosines,
/// then sines; row r of x is at position r % T. What follows `columns` passes as it is.
Tensor rotary(Context& context, const Tensor& x, const Tensor& table, int64_t columns);

/// Per channel of [B, C, H, W] with given statistics (inference):
/// (x - mean) / sqrt(variance + epsilon) * w + b.
struct BatchNormParameters {
  Tensor weight, bias, mean, variance;  ///< [C] each
  float epsilon = 1e-5f;
};
Tensor batch_norm(Context& context, const Tensor& x, const BatchNormParameters& parameters);

}  // namespace dalle1::ops
