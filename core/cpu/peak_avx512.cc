#include "core/cpu/peak_loops.h"

namespace dalle1::cpu {

constexpr PeakKernels peak_avx512 = kernels;

}  // namespace dalle1::cpu
