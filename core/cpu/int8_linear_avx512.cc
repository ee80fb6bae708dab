#define DALLE1_INT8_FOURS 0
#include "core/cpu/int8_linear_kernels.h"

namespace dalle1::cpu {

constexpr Int8LinearKernels int8_linear_avx512 = int8_kernels;

}  // namespace dalle1::cpu
