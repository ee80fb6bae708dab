#include "core/ops/layout.h"

#include "core/grad/tape.h"
#include "core/kernels/kernels.h"

namespace dalle1::ops {

Tensor in_layout(const Tensor& x, Layout layout) {
  if (x.layout() == layout) return x;
  Tensor y = Tensor::empty(x.device(), x.shape(), x.dtype(), layout);
  x.kernels().reorder(x, y);
  return y;
}

Tensor empty_like(const Tensor& x) { return Tensor::empty(x.device(), x.shape(), x.dtype(), x.layout()); }

Tensor to_layout(Context& context, const Tensor& x, Layout layout) {
  if (x.layout() == layout) return x;
  Tensor y = in_layout(x, layout);
  if (context.tape) {
    context.tape->record(
        {x}, y, [from = x.layout()](const Tensor& dy) { return std::vector<Tensor>{in_layout(dy, from)}; });
  }
  return y;
}

Tensor to_fastest_layout(Context& context, const Tensor& x) {
  return to_layout(context, x, x.kernels().preferred_layout(x.dim(1)));
}

}  // namespace dalle1::ops
