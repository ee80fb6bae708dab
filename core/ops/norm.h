// Normalisation.
#pragma once

#include "core/tensor/context.h"

namespace dalle1::ops {

/// Over the last axis (Ba et al. 2016): (x - mean) / sqrt(variance + epsilon) * w + b; w, b [C].
Tensor layer_norm(Context& context, const Tensor& x, const Tensor& w, const Tensor& b, float epsilon = 1e-5f);

/// Each run of `group` elements in the first `columns` of the last axis over its root mean square (Zhang and
/// Sennrich 2019, without a gain): x / sqrt(mean(x^2) + epsilon); what follows `columns` passes as it is.
Tensor rms_norm(Context& context, const Tensor& x, int64_t group, int64_t columns, float epsilon = 1e-5f);

}  // namespace dalle1::ops
