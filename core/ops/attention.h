// Softmax attention under a pattern.
#pragma once

#include "core/attention/attention_pattern.h"
#include "core/tensor/context.h"

namespace dalle1::ops {

/// softmax(scale q k^T + mask) v for whole sequences: q [B, Tq, H, D], k and v [B, Tk, H, D]; y like q.
/// Patterns other than `full` need Tq = Tk = pattern.length(), or Tq = Tk <= length (a prefix of the
/// sequence).
Tensor attention(Context& context, const Tensor& q, const Tensor& k, const Tensor& v,
                 const AttentionPattern& pattern, float scale);

}  // namespace dalle1::ops
