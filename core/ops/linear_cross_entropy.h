// The loss of a classifier's last layer without its logits in memory.
#pragma once

#include "core/kernels/int8_weights.h"
#include "core/tensor/context.h"

namespace dalle1::ops {

struct WeightedLoss {
  Tensor loss;    ///< sum_r weights[r] * losses[r], [1]; differentiable.
  Tensor losses;  ///< logsumexp(logits[r]) - logits[r, targets[r]], f32 [R].
};

/// cross_entropy(linear(x, w, bias), targets, weights) in pieces of rows, each of whose gradients is taken
/// while its logits are in cache, so that no [R, N] buffer exists: x [R, C], w [N, C], bias [N], targets i64
/// [R], weights f32 [R]. The products are those of training, with and without a tape;
/// `compute` as in linear().
WeightedLoss linear_cross_entropy(Context& context, const Tensor& x, const Tensor& w, const Tensor& bias,
                                  const Tensor& targets, const Tensor& weights, DType compute = DType::f32);
/// The same with weights in eight bits; without a tape.
WeightedLoss linear_cross_entropy(Context& context, const Tensor& x, const Int8Weights& w, const Tensor& bias,
                                  const Tensor& targets, const Tensor& weights);

}  // namespace dalle1::ops
