#define DALLE1_INT8_FOURS 1
#define DALLE1_DPBUSD _mm256_dpbusd_avx_epi32
#include "core/cpu/int8_linear_kernels.h"

namespace dalle1::cpu {

constexpr Int8LinearKernels int8_linear_avxvnni = int8_kernels;

}  // namespace dalle1::cpu
