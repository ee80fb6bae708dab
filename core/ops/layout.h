// The order of a picture tensor's elements in memory.
#pragma once

#include "core/tensor/context.h"

namespace dalle1::ops {

/// x [B, C, H, W] in another layout; x itself when it is already in it.
Tensor to_layout(Context& context, const Tensor& x, Layout layout);
/// The same, not recorded: for gradients.
Tensor in_layout(const Tensor& x, Layout layout);

}  // namespace dalle1::ops
