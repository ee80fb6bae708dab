#include "transformer/sampler.h"

#include <cmath>

#include "core/ops/elementwise.h"
#include "core/ops/softmax.h"

namespace dalle1::transformer {

void validate(const SamplingOptions& options) {
  const SamplingRule& rule = options.rule;
  check(std::isfinite(rule.temperature) && rule.temperature >= 0, ErrorKind::usage,
        "{} {}: it must be 0 (greedy) or more", OptionName{"temperature"}, rule.temperature);
  check(rule.top_k >= 0, ErrorKind::usage, "{} {}: it must be 0 (off) or more", OptionName{"top_k"},
        rule.top_k);
  check(rule.top_p > 0 && rule.top_p <= 1, ErrorKind::usage, "{} {}: it must be above 0 and at most 1 (off)",
        OptionName{"top_p"}, rule.top_p);
  check(std::isfinite(options.guidance), ErrorKind::usage, "{} {}: it must be a number",
        OptionName{"guidance"}, options.guidance);
}

Tensor guide(const Tensor& conditional, const Tensor& unconditional, float scale) {
  Context context(conditional.device());
  const Tensor difference = ops::sub(context, conditional, unconditional);
  return ops::add(context, unconditional, ops::affine(context, difference, scale));
}

std::vector<float> log_probabilities(const Tensor& logits, std::span<const int64_t> tokens) {
  const Tensor targets = Tensor::from(logits.device(), {logits.dim(0)}, tokens);
  auto values = ops::cross_entropy_rows(logits, targets).to_floats();
  for (float& value : values) value = -value;
  return values;
}

}  // namespace dalle1::transformer
