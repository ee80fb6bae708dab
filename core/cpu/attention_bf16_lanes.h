// Tiled attention whose products are those of vdpbf16ps, or of its stand-in (bf16_lanes.h).
#pragma once

#include "core/cpu/bf16_product_kernels.h"

namespace dalle1::cpu {
namespace {

inline void bf16_block(const Bf16Block& block) { multiply_bf16_block(block); }
inline void begin_bf16() {}
inline void end_bf16() {}

}  // namespace
}  // namespace dalle1::cpu

#include "core/cpu/attention_bf16.h"
