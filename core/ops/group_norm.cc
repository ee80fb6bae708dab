#include "core/ops/group_norm.h"

#include "core/grad/tape.h"
#include "core/kernels/kernels.h"
#include "core/ops/layout.h"

namespace dalle1::ops {

Tensor group_norm(Context& context, const Tensor& x, const Tensor& w, const Tensor& b, int groups,
                  float epsilon) {
  check(x.rank() == 4 && w.shape() == Shape({x.dim(1)}) && b.shape() == w.shape() && groups >= 1 &&
            x.dim(1) % groups == 0,
        ErrorKind::internal, "group_norm: x {} with weight {}, bias {} and {} groups", x.shape(), w.shape(),
        b.shape(), groups);
  Tensor y = empty_like(x);
  Tensor mean = Tensor::empty(x.device(), {x.dim(0), groups}),
         rstd = Tensor::empty(x.device(), {x.dim(0), groups});
  x.kernels().group_norm({x, w, b, groups, epsilon, y, mean, rstd});
  if (context.tape) {
    context.tape->record({x, w, b}, y, [x, w, mean, rstd](const Tensor& dy) {
      Tensor dx = empty_like(x);
      Tensor dw = Tensor::empty(x.device(), w.shape()), db = Tensor::empty(x.device(), w.shape());
      x.kernels().group_norm_backward({x, w, mean, rstd, in_layout(dy, x.layout()), dx, dw, db});
      return std::vector<Tensor>{dx, dw, db};
    });
  }
  return y;
}

}  // namespace dalle1::ops
