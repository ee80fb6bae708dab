// Normalisation.
#pragma once

#include <optional>

#include "core/tensor/context.h"

namespace dalle1::ops {

/// Over the last axis (Ba et al. 2016): (x - mean) / sqrt(variance + epsilon) * w + b; w, b [C].
/// In `result`, or in x's type: what follows a norm is a product, and the residual may have another type than
/// it.
Tensor layer_norm(Context& context, const Tensor& x, const Tensor& w, const Tensor& b, float epsilon = 1e-5f,
                  std::optional<DType> result = {});

/// Each run of `group` elements in the first `columns` of the last axis over its root mean square (Zhang and
/// Sennrich 2019, without a gain): x / sqrt(mean(x^2) + epsilon); what follows `columns` passes as it is.
Tensor rms_norm(Context& context, const Tensor& x, int64_t group, int64_t columns, float epsilon = 1e-5f);

/// x over the largest element of each row of its last axis, which the gradient takes for a constant (Ding et
/// al. 2021, CogView): what a norm makes of it hardly changes, but its numbers stay small.
Tensor divide_by_max(Context& context, const Tensor& x);

}  // namespace dalle1::ops
