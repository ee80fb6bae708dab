// Ops that move elements without computing.
#pragma once

#include "core/tensor/context.h"

namespace dalle1::ops {

/// Same elements in another shape; one extent may be -1.
Tensor reshape(Context& context, const Tensor& x, Shape shape);
/// y's axis i is x's axis `axes[i]`.
Tensor permute(Context& context, const Tensor& x, const std::vector<int>& axes);
/// [begin, end) of one axis.
Tensor slice(Context& context, const Tensor& x, int axis, int64_t begin, int64_t end);
Tensor concat(Context& context, const std::vector<Tensor>& parts, int axis);
/// x repeated along the axes in which it has extent 1 (shapes of equal rank).
Tensor broadcast_to(Context& context, const Tensor& x, const Shape& shape);
/// The same, not recorded.
Tensor broadcast(const Tensor& x, const Shape& shape);
/// Plain row-major copy of a blocked tensor; x itself when it is plain.
Tensor to_plain(Context& context, const Tensor& x);

}  // namespace dalle1::ops
