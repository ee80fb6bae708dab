// The bf16 kernels with vdpbf16ps in plain code (core/cpu/bf16_lanes.h), for machines without it.
#include "core/cpu/attention_bf16_lanes.h"

namespace dalle1::cpu {
namespace {

void nothing() {}

}  // namespace

extern const Bf16Kernels bf16_stand_in;
extern const AttentionKernels attention_bf16_stand_in;
const Bf16Kernels bf16_stand_in = {pack_bf16_rows, pack_bf16_columns, nothing, nothing, multiply_bf16_block};
const AttentionKernels attention_bf16_stand_in = kernels;

}  // namespace dalle1::cpu
