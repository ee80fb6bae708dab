// What the benches run of whole-sequence attention.
#pragma once

#include "core/attention/attention_pattern.h"
#include "core/tensor/tensor.h"

namespace dalle1::tools {

/// Forward and backward of attention scaled by 1/8: q, k, v and the output's gradient dy, [B, T, H, D] each.
void attention_pass(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& dy,
                    const AttentionPattern& pattern, DType compute = DType::f32);

}  // namespace dalle1::tools
