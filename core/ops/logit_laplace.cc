#include "core/ops/logit_laplace.h"

#include <cmath>

#include "core/ops/elementwise.h"

namespace dalle1::ops {

constexpr float kScale = 0.8f, kShift = 0.1f;

Tensor logit_laplace(Context& context, const Tensor& x, const Tensor& mu, const Tensor& ln_b) {
  check(x.shape() == mu.shape() && x.shape() == ln_b.shape(), ErrorKind::internal,
        "logit_laplace: x {}, mu {}, ln b {}", x.shape(), mu.shape(), ln_b.shape());
  Context plain = context.untaped();  // the data carries no gradient
  const Tensor ln_x = log(plain, x), ln_1_minus_x = log(plain, affine(plain, x, -1.0f, 1.0f));
  const Tensor logit = sub(plain, ln_x, ln_1_minus_x);
  const Tensor constant = affine(plain, add(plain, ln_x, ln_1_minus_x), 1.0f, std::log(2.0f));
  const Tensor distance = abs(context, sub(context, mu, logit));
  const Tensor inverse_b = exp(context, affine(context, ln_b, -1.0f));
  return add(context, add(context, mul(context, distance, inverse_b), ln_b), constant);
}

Tensor map_pixels(Context& context, const Tensor& x) { return affine(context, x, kScale, kShift); }

Tensor unmap_pixels(const Tensor& y) {
  Context plain(y.device());
  const Tensor x = affine(plain, y, 1.0f / kScale, -kShift / kScale);
  const Tensor zero = Tensor::zeros(y.device(), y.shape());
  const Tensor one = affine(plain, zero, 1.0f, 1.0f);
  const Tensor positive = maximum(plain, x, zero);
  // min(x, 1) = -max(-x, -1)
  return affine(plain, maximum(plain, affine(plain, positive, -1.0f), affine(plain, one, -1.0f)), -1.0f);
}

}  // namespace dalle1::ops
