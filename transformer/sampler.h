// How a token is chosen from logits.
//
// Rules, in this order:
//   guidance     logits = u + s (c - u), c from the prompt and u from the unconditional (or negative)
//                prompt; s = 1 is off and needs no u.
//   greedy       temperature 0: the largest logit, the lowest token among equals.
//   top-k        keeps every logit that is at least the k-th largest; ties with it stay. 0 is off.
//   temperature  probabilities are softmax(logits / temperature).
//   top-p        in order of falling probability (the lower token first among equals), drops those
//                before which the sum already exceeds p; the token that crosses p stays. 1 is off.
// One uniform number a token: Philox keyed by the seed, with counter (candidate, grid cell). So a token
// depends on nothing but its own logits, seed, candidate and cell.
#pragma once

#include <span>
#include <vector>

#include "core/kernels/arguments.h"
#include "core/tensor/context.h"

namespace dalle1::transformer {

struct SamplingOptions {
  SamplingRule rule;
  float guidance = 1.0f;
  uint64_t seed = 0;

  bool guided() const { return guidance != 1.0f; }
};

/// Error(usage) that names the option for a negative temperature, a negative k, p outside (0, 1] or a
/// guidance that is not finite.
void validate(const SamplingOptions& options);

/// u + s (c - u) for [N, V].
Tensor guide(const Tensor& conditional, const Tensor& unconditional, float scale);

/// ln softmax(logits[n])[tokens[n]], [N].
std::vector<float> log_probabilities(const Tensor& logits, std::span<const int64_t> tokens);

}  // namespace dalle1::transformer
