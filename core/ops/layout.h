// The order of a picture tensor's elements in memory.
#pragma once

#include "core/tensor/context.h"

namespace dalle1::ops {

/// x [B, C, H, W] in another layout; x itself when it is already in it.
Tensor to_layout(Context& context, const Tensor& x, Layout layout);
/// x in the layout in which convolutions of its channels run fastest.
Tensor to_fastest_layout(Context& context, const Tensor& x);
/// The same as to_layout(), not recorded.
Tensor in_layout(const Tensor& x, Layout layout);
/// Uninitialised, with the shape, type and layout of x.
Tensor empty_like(const Tensor& x);

}  // namespace dalle1::ops
