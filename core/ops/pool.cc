#include "core/ops/pool.h"

#include "core/grad/tape.h"
#include "core/kernels/kernels.h"
#include "core/ops/layout.h"

namespace dalle1::ops {
namespace {

Tensor pooled(const char* op, const Tensor& x, int k) {
  check(x.rank() == 4 && k >= 1, ErrorKind::internal, "{}: x {} with windows of {}", op, x.shape(), k);
  check(x.dim(2) >= k && x.dim(3) >= k, ErrorKind::input,
        "{}: a picture of {} is smaller than its {}x{} window", op, x.shape(), k, k);
  return Tensor::empty(x.device(), {x.dim(0), x.dim(1), x.dim(2) / k, x.dim(3) / k}, x.dtype(), x.layout());
}

}  // namespace

Tensor max_pool(Context& context, const Tensor& x) {
  Tensor y = pooled("max_pool", x, 2);
  x.kernels().max_pool(x, y);
  if (context.tape) {
    context.tape->record({x}, y, [x](const Tensor& dy) {
      Tensor dx = empty_like(x);
      x.kernels().max_pool_backward(x, in_layout(dy, x.layout()), dx);
      return std::vector<Tensor>{dx};
    });
  }
  return y;
}

Tensor avg_pool(Context& context, const Tensor& x, int k) {
  Tensor y = pooled("avg_pool", x, k);
  x.kernels().avg_pool(x, k, y);
  if (context.tape) {
    context.tape->record({x}, y, [shape = x.shape(), layout = x.layout(), k](const Tensor& dy) {
      Tensor dx = Tensor::empty(dy.device(), shape, dy.dtype(), layout);
      dy.kernels().avg_pool_backward(in_layout(dy, layout), k, dx);
      return std::vector<Tensor>{dx};
    });
  }
  return y;
}

}  // namespace dalle1::ops
