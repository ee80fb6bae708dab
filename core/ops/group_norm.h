// Group normalisation.
#pragma once

#include "core/tensor/context.h"

namespace dalle1::ops {

/// Wu and He 2018: channels in `groups` equal groups, (x - mean) / sqrt(variance + epsilon) * w + b with the
/// statistics of a group over its channels and pixels. x [B, C, H, W] in any layout; w, b [C].
Tensor group_norm(Context& context, const Tensor& x, const Tensor& w, const Tensor& b, int groups,
                  float epsilon = 1e-6f);

}  // namespace dalle1::ops
