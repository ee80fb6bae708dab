// Sums and means.
#pragma once

#include "core/tensor/context.h"

namespace dalle1::ops {

/// Sum over the given axes, which keep extent 1. Negative axes count from the end.
Tensor sum(Context& context, const Tensor& x, const std::vector<int>& axes);
/// Sum of everything, as [1].
Tensor sum(Context& context, const Tensor& x);
Tensor mean(Context& context, const Tensor& x);

/// x / sqrt(sum of squares over the last axis + epsilon).
Tensor l2_normalise(Context& context, const Tensor& x, float epsilon = 0.0f);

/// x summed down to a shape that broadcasts to it: the backward of broadcasting. Not recorded.
Tensor reduced_to(const Tensor& x, const Shape& shape);

}  // namespace dalle1::ops
