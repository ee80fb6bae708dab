// One decoding step of attention for one head of a block of candidates, compiled once per instruction set.
#pragma once

#include <cstdint>

#include "core/cpu/isa.h"
#include "core/tensor/dtype.h"

namespace dalle1::cpu {

/// Candidates of a block: they share each load of a prefix row.
constexpr int candidate_block = 32;

/// Consecutive visible rows of the prefix.
struct PrefixRange {
  int32_t begin, end;
};

/// Head h of candidates [first, first + count). Pointers are those of that head and first candidate.
struct CachedAttentionBlock {
  int32_t count = 0;  ///< 1 to candidate_block
  int32_t size = 0;   ///< D
  const float* q = nullptr;
  int64_t q_stride = 0;  ///< Floats between candidates in q,
  float* y = nullptr;
  int64_t y_stride = 0;  ///< and in y.
  float scale = 1.0f;
  const float* prefix_keys = nullptr;    ///< Panels of 16 keys, [D, 16] each, the last one filled up.
  const float* prefix_values = nullptr;  ///< [P, D]
  const PrefixRange* prefix = nullptr;
  int32_t prefix_ranges = 0;
  int32_t prefix_rows = 0;                        ///< Sum of the ranges' lengths.
  const void *keys = nullptr, *values = nullptr;  ///< [S, D] of the first candidate: f32, or bf16 if
  bool bf16 = false;                              ///< so.
  int64_t store_stride = 0;                       ///< Elements between candidates: H * S * D.
  const int32_t* slots = nullptr;
  int32_t slot_count = 0;
};

struct CachedAttentionKernels {
  /// Floats of scratch memory that a block needs, for so many visible keys.
  int64_t (*scratch)(int32_t visible, int32_t size);
  void (*run)(const CachedAttentionBlock& block, float* scratch);
  /// D floats rounded to bf16.
  void (*round)(const float* row, int64_t size, Bf16* to);
};

extern const CachedAttentionKernels cached_attention_avx2;
extern const CachedAttentionKernels cached_attention_avx512;

inline const CachedAttentionKernels& cached_attention_kernels(Isa isa) {
  return isa == Isa::avx512 ? cached_attention_avx512 : cached_attention_avx2;
}

}  // namespace dalle1::cpu
