#include "core/cpu/packed_linear_kernels.h"

namespace dalle1::cpu {

constexpr PackedLinearKernels packed_linear_avx512 = kernels;

}  // namespace dalle1::cpu
