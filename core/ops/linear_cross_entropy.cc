#include "core/ops/linear_cross_entropy.h"

#include <algorithm>
#include <functional>

#include "core/grad/tape.h"
#include "core/kernels/kernels.h"

namespace dalle1::ops {
namespace {

// Rows of a piece: on a CPU few, so that their logits stay in cache; a GPU wants large products.
int64_t rows_at_once(const Device& device) { return device.is_cpu() ? 512 : 16384; }

// Fills the logits [r, N] of r rows of x.
using Logits = std::function<void(const Tensor& x, Tensor& logits)>;
// Takes rows [begin, begin + r) of x with the gradient of their logits [r, N].
using Gradients = std::function<void(const Tensor& x, const Tensor& dlogits, int64_t begin)>;

WeightedLoss in_pieces(const Tensor& x, int64_t classes, const Tensor& targets, const Tensor& weights,
                       const Logits& fill, const Gradients& gradients) {
  const int64_t rows = x.dim(0), at_once = rows_at_once(x.device());
  Device& device = x.device();
  Kernels& kernels = x.kernels();
  WeightedLoss result{Tensor::empty(device, {1}), Tensor::empty(device, {rows})};
  for (int64_t begin = 0; begin < rows; begin += at_once) {
    const int64_t end = std::min(rows, begin + at_once);
    const Tensor piece = x.rows(begin, end), ids = targets.rows(begin, end);
    Tensor logits = Tensor::empty(device, {end - begin, classes});
    fill(piece, logits);
    Tensor losses = result.losses.rows(begin, end), logsumexp = Tensor::empty(device, {end - begin});
    kernels.cross_entropy(logits, ids, losses, logsumexp);
    if (!gradients) continue;
    Tensor dlogits = Tensor::empty(device, logits.shape(), x.dtype());
    kernels.cross_entropy_backward({logits, ids, logsumexp, weights.rows(begin, end), dlogits});
    gradients(piece, dlogits, begin);
  }
  Tensor weighted = Tensor::empty(device, {rows});
  kernels.binary(Binary::mul, result.losses, weights, weighted);
  kernels.sum_to(weighted, result.loss);
  return result;
}

void check_shapes(const Tensor& x, const Shape& w, const Tensor& targets, const Tensor& weights) {
  check(x.rank() == 2 && x.dim(1) == w[1] && targets.numel() == x.dim(0) && weights.numel() == x.dim(0),
        ErrorKind::internal, "linear_cross_entropy: x {} with weights {}, {} targets and {} row weights",
        x.shape(), w, targets.numel(), weights.numel());
}

}  // namespace

WeightedLoss linear_cross_entropy(Context& context, const Tensor& x, const Tensor& w, const Tensor& bias,
                                  const Tensor& targets, const Tensor& weights, DType compute) {
  check_shapes(x, w.shape(), targets, weights);
  Device& device = x.device();
  const auto fill = [&](const Tensor& rows, Tensor& logits) {
    rows.kernels().training_linear({rows, w, &bias, logits}, compute);
  };
  if (!context.tape) return in_pieces(x, w.dim(0), targets, weights, fill, {});

  Tensor dx = Tensor::empty(device, x.shape()), dw = Tensor::empty(device, w.shape()),
         dbias = Tensor::zeros(device, bias.shape());
  const auto add = [&](const Tensor& rows, const Tensor& dlogits, int64_t begin) {
    Kernels& kernels = rows.kernels();
    Tensor drows = dx.rows(begin, begin + rows.dim(0));
    kernels.matmul(dlogits, w, {.compute = compute}, drows);
    kernels.matmul(dlogits, rows, {.transpose_a = true, .accumulate = begin > 0, .compute = compute}, dw);
    Tensor sums = Tensor::empty(device, {1, bias.numel()});
    kernels.sum_to(dlogits, sums);
    kernels.add_scaled(sums.view(bias.shape()), 1.0f, dbias);
  };
  const WeightedLoss result = in_pieces(x, w.dim(0), targets, weights, fill, add);
  context.tape->record({x, w, bias}, result.loss, [dx, dw, dbias](const Tensor& dy) {
    std::vector<Tensor> gradients{dx, dw, dbias};
    const float scale = dy.item();
    if (scale == 1.0f) return gradients;
    for (Tensor& gradient : gradients) gradient.kernels().affine(gradient, scale, 0.0f, gradient);
    return gradients;
  });
  return result;
}

WeightedLoss linear_cross_entropy(Context& context, const Tensor& x, const Int8Weights& w, const Tensor& bias,
                                  const Tensor& targets, const Tensor& weights) {
  check(!context.tape, ErrorKind::internal, "weights in int8 have no gradient");
  check_shapes(x, {w.outputs, w.inputs}, targets, weights);
  const auto fill = [&](const Tensor& rows, Tensor& logits) {
    rows.kernels().int8_linear(rows, w, &bias, logits);
  };
  return in_pieces(x, w.outputs, targets, weights, fill, {});
}

}  // namespace dalle1::ops
