#include "core/cpu/amx_tiles.h"
#include "core/cpu/bf16_amx.h"

namespace dalle1::cpu {
namespace {

inline void bf16_block(const Bf16Block& block) { multiply_bf16_tiles(block); }
inline void begin_bf16() { configure_tiles(); }
inline void end_bf16() { release_tiles(); }

}  // namespace
}  // namespace dalle1::cpu

#include "core/cpu/attention_bf16.h"

namespace dalle1::cpu {

constexpr AttentionKernels attention_amx = kernels;

}  // namespace dalle1::cpu
