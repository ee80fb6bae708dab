// The kernel for vpdpbusd with that instruction spelled out, for machines without it.
#include "tests/core/dpbusd_stand_in.h"

#define DALLE1_INT8_FOURS 1
#include "core/cpu/int8_linear_kernels.h"

namespace dalle1::cpu {

extern const Int8LinearKernels int8_linear_stand_in;
const Int8LinearKernels int8_linear_stand_in = int8_kernels;

}  // namespace dalle1::cpu
