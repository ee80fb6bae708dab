// Pooling of pictures; the result has the layout of x.
#pragma once

#include "core/tensor/context.h"

namespace dalle1::ops {

/// 2x2 windows of stride 2; an odd last row or column is dropped. The first maximum takes the gradient.
Tensor max_pool(Context& context, const Tensor& x);
/// k x k windows of stride k, k <= H and W; what is left at the border is dropped.
Tensor avg_pool(Context& context, const Tensor& x, int k);

}  // namespace dalle1::ops
