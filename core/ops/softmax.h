// Softmax and what is built on it.
#pragma once

#include "core/tensor/context.h"

namespace dalle1::ops {

/// Over the last axis.
Tensor softmax(Context& context, const Tensor& x);

/// sum_r weights[r] * (logsumexp(logits[r]) - logits[r, targets[r]]), as [1].
/// logits [.., V]; targets i64, one per row; weights f32, one per row (a weight of 0 skips the row).
Tensor cross_entropy(Context& context, const Tensor& logits, const Tensor& targets, const Tensor& weights);

/// Losses of the rows, not recorded: f32 [R].
Tensor cross_entropy_rows(const Tensor& logits, const Tensor& targets);

/// softmax((logits + g) / temperature) over the last axis with Gumbel noise g (Jang et al. 2016, equation 2).
/// The noise is a function of (seed, step, place).
Tensor gumbel_softmax(Context& context, const Tensor& logits, float temperature, uint32_t place);

}  // namespace dalle1::ops
