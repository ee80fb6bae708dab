#include "core/ops/norm.h"

#include "core/grad/tape.h"
#include "core/kernels/kernels.h"
#include "core/ops/argmax.h"
#include "core/ops/elementwise.h"
#include "core/ops/layout.h"

namespace dalle1::ops {

Tensor layer_norm(Context& context, const Tensor& x, const Tensor& w, const Tensor& b, float epsilon,
                  std::optional<DType> result) {
  check(w.shape() == Shape({x.dim(-1)}) && b.shape() == w.shape(), ErrorKind::internal,
        "layer_norm: x {} with weight {} and bias {}", x.shape(), w.shape(), b.shape());
  const int64_t rows = x.numel() / w.numel();
  Tensor y = Tensor::empty(x.device(), x.shape(), result.value_or(x.dtype()));
  Tensor mean = Tensor::empty(x.device(), {rows}), rstd = Tensor::empty(x.device(), {rows});
  x.kernels().layer_norm({x, w, b, epsilon, y, mean, rstd});
  if (context.tape) {
    context.tape->record({x, w, b}, y, [=](const Tensor& dy) {
      Tensor dx = Tensor::empty(x.device(), x.shape(), x.dtype());
      Tensor dw = Tensor::empty(x.device(), w.shape()), db = Tensor::empty(x.device(), w.shape());
      x.kernels().layer_norm_backward({x, w, mean, rstd, dy, dx, dw, db});
      return std::vector<Tensor>{dx, dw, db};
    });
  }
  return y;
}

Tensor rms_norm(Context& context, const Tensor& x, int64_t group, int64_t columns, float epsilon) {
  check(group > 0 && columns % group == 0 && columns <= x.dim(-1), ErrorKind::internal,
        "rms_norm: runs of {} in {} columns of {}", group, columns, x.shape());
  Tensor y = empty_like(x);
  x.kernels().rms_norm(x, {group, columns, epsilon}, y);
  if (context.tape) {
    context.tape->record({x}, y, [=](const Tensor& dy) {
      Tensor dx = empty_like(x);
      x.kernels().rms_norm_backward(x, dy, {group, columns, epsilon}, dx);
      return std::vector<Tensor>{dx};
    });
  }
  return y;
}

Tensor divide_by_max(Context& context, const Tensor& x) {
  const int64_t width = x.dim(-1);
  std::vector<int64_t> extents = x.shape().extents();
  extents.back() = 1;
  const Tensor largest = argmax(x.view({x.numel() / width, width})).values;
  return div(context, x, largest.to(x.dtype()).view(Shape(std::move(extents))));
}

}  // namespace dalle1::ops
