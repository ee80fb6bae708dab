#include "core/cpu/cached_attention_block.h"

namespace dalle1::cpu {

constexpr CachedAttentionKernels cached_attention_avx512 = cached_kernels;

}  // namespace dalle1::cpu
