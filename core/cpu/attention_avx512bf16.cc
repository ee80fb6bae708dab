#include "core/cpu/attention_bf16_lanes.h"

namespace dalle1::cpu {

constexpr AttentionKernels attention_avx512bf16 = kernels;

}  // namespace dalle1::cpu
