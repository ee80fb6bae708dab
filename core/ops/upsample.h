// Nearest-neighbour upsampling.
#pragma once

#include "core/tensor/context.h"

namespace dalle1::ops {

/// Every pixel becomes 2x2: x [B, C, H, W] to [B, C, 2H, 2W], in the layout of x.
Tensor upsample(Context& context, const Tensor& x);

}  // namespace dalle1::ops
