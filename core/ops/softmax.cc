#include "core/ops/softmax.h"

#include "core/grad/tape.h"
#include "core/kernels/kernels.h"
#include "core/ops/elementwise.h"

namespace dalle1::ops {

Tensor softmax(Context& context, const Tensor& x) {
  Tensor y = Tensor::empty(x.device(), x.shape());
  x.kernels().softmax(x, y);
  if (context.tape) {
    context.tape->record({x}, y, [y](const Tensor& dy) {
      Tensor dx = Tensor::empty(y.device(), y.shape());
      y.kernels().softmax_backward(y, dy, dx);
      return std::vector<Tensor>{dx};
    });
  }
  return y;
}

Tensor cross_entropy(Context& context, const Tensor& logits, const Tensor& targets, const Tensor& weights) {
  const int64_t rows = logits.numel() / logits.dim(-1);
  check(targets.numel() == rows && weights.numel() == rows, ErrorKind::internal,
        "cross_entropy: logits {} with {} targets and {} weights", logits.shape(), targets.numel(),
        weights.numel());
  Tensor losses = Tensor::empty(logits.device(), {rows}), logsumexp = Tensor::empty(logits.device(), {rows});
  logits.kernels().cross_entropy(logits, targets, losses, logsumexp);
  Tensor weighted = Tensor::empty(logits.device(), {rows}), loss = Tensor::empty(logits.device(), {1});
  const Tensor row_weights = weights.view({rows});
  logits.kernels().binary(Binary::mul, losses, row_weights, weighted);
  logits.kernels().sum_to(weighted, loss);
  if (context.tape) {
    context.tape->record({logits}, loss, [=](const Tensor& dy) {
      Tensor scale = Tensor::empty(logits.device(), {rows});
      logits.kernels().binary(Binary::mul, row_weights, dy, scale);
      Tensor dlogits = Tensor::empty(logits.device(), logits.shape());
      logits.kernels().cross_entropy_backward({logits, targets, logsumexp, scale, dlogits});
      return std::vector<Tensor>{dlogits};
    });
  }
  return loss;
}

Tensor cross_entropy_rows(const Tensor& logits, const Tensor& targets) {
  const int64_t rows = logits.numel() / logits.dim(-1);
  Tensor losses = Tensor::empty(logits.device(), {rows}), logsumexp = Tensor::empty(logits.device(), {rows});
  logits.kernels().cross_entropy(logits, targets, losses, logsumexp);
  return losses;
}

Tensor gumbel_softmax(Context& context, const Tensor& logits, float temperature, uint32_t place) {
  check(temperature > 0.0f, ErrorKind::usage, "gumbel_softmax: temperature {} is not positive", temperature);
  Context plain = context.untaped();
  Tensor noise = Tensor::empty(logits.device(), logits.shape());
  logits.kernels().uniform({context.seed, Stream::gumbel, place, static_cast<uint32_t>(context.step)}, noise);
  // g = -ln(-ln u). A float's u rounds to 1 once in 2^24 draws; half a step of u keeps -ln u off 0 there.
  noise = affine(plain, log(plain, noise), -1.0f, 0x1p-25f);
  noise = affine(plain, log(plain, noise), -1.0f);
  return softmax(context, affine(context, add(context, logits, noise), 1.0f / temperature));
}

}  // namespace dalle1::ops
