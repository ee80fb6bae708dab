#include "core/ops/upsample.h"

#include "core/grad/tape.h"
#include "core/kernels/kernels.h"
#include "core/ops/layout.h"

namespace dalle1::ops {

Tensor upsample(Context& context, const Tensor& x) {
  check(x.rank() == 4, ErrorKind::internal, "upsample: x {}", x.shape());
  Tensor y =
      Tensor::empty(x.device(), {x.dim(0), x.dim(1), 2 * x.dim(2), 2 * x.dim(3)}, x.dtype(), x.layout());
  x.kernels().upsample(x, y);
  if (context.tape) {
    context.tape->record({x}, y, [shape = x.shape(), layout = x.layout()](const Tensor& dy) {
      Tensor dx = Tensor::empty(dy.device(), shape, dy.dtype(), layout);
      dy.kernels().upsample_backward(in_layout(dy, layout), dx);
      return std::vector<Tensor>{dx};
    });
  }
  return y;
}

}  // namespace dalle1::ops
