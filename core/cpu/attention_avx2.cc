#include "core/cpu/attention_tiles.h"

namespace dalle1::cpu {

constexpr AttentionKernels attention_avx2 = kernels;

}  // namespace dalle1::cpu
