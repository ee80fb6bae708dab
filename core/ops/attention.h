// Softmax attention: under a pattern, or over cached keys.
#pragma once

#include "core/kernels/arguments.h"
#include "core/tensor/context.h"

namespace dalle1::ops {

/// softmax(scale q k^T + mask) v for whole sequences: q [B, Tq, H, D], k and v [B, Tk, H, D]; y like q.
/// Patterns other than `full` need Tq = Tk = pattern.length(), or Tq = Tk <= length (a prefix of the
/// sequence). Products compute in `compute`, see AttentionOptions.
Tensor attention(Context& context, const Tensor& q, const Tensor& k, const Tensor& v,
                 const AttentionPattern& pattern, float scale, DType compute = DType::f32);

/// The same for the thirds q, k, v of qkv [B, T, 3C] where they lie, scaled by 1 / sqrt(C / heads); y [B, T,
/// C]. T may stop short of the pattern's length.
Tensor self_attention(Context& context, const Tensor& qkv, int64_t heads, const AttentionPattern& pattern,
                      DType compute = DType::f32);

/// One new position of cached decoding: stores the keys and values of qkv [groups * N, 3C] (thirds q, k, v)
/// at `slot` of each group's caches, then attends, scaled by 1 / sqrt(C / heads); y [groups * N, C].
/// Inference.
Tensor cached_attention(const Tensor& qkv, int64_t heads, std::span<const CachedAttention> groups,
                        int64_t slot);

}  // namespace dalle1::ops
