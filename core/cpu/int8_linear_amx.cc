#include "core/cpu/amx_tiles.h"

#define DALLE1_INT8_FOURS 1
#include "core/cpu/int8_amx.h"

namespace dalle1::cpu {

constexpr Int8LinearKernels int8_linear_amx = int8_amx_kernels;

}  // namespace dalle1::cpu
