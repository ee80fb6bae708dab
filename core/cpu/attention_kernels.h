// One head of tiled attention, compiled once per instruction set; the same bits from each.
#pragma once

#include <cstdint>

#include "core/cpu/isa.h"
#include "core/tensor/dtype.h"

namespace dalle1::cpu {

/// Positions along one side of a tile.
constexpr int attention_tile = 32;

/// One tile of keys that a tile of queries visits.
struct AttentionVisit {
  int32_t key_tile = 0;
  int32_t mask = -1;  ///< Index of the tile's mask; -1: every query sees every key.
};

/// An AttentionPlan as plain arrays: kernels compiled for one instruction set share no inline code with the
/// others.
struct AttentionTiles {
  int32_t queries = 0, keys = 0, key_tiles = 0;
  const int32_t* query_order = nullptr;
  const int32_t* key_order = nullptr;
  const int32_t* begin = nullptr;
  const AttentionVisit* visits = nullptr;
  const uint32_t* masks = nullptr;  ///< attention_tile rows each
};

/// One head of one sequence. Consecutive positions lie `stride` floats apart, of y and its gradient
/// `y_stride`.
struct AttentionHead {
  const float *q = nullptr, *k = nullptr, *v = nullptr;
  float* y = nullptr;
  float* logsumexp = nullptr;  ///< [queries], contiguous
  int64_t stride = 0, y_stride = 0;
  int32_t size = 0;  ///< D
  float scale = 1.0f;
};

struct AttentionHeadGradients {
  const float* dy = nullptr;
  float *dq = nullptr, *dk = nullptr, *dv = nullptr;
};

struct AttentionKernels {
  /// Floats of scratch memory that one call needs, by keys and head size.
  int64_t (*forward_scratch)(int32_t key_tiles, int32_t size);
  int64_t (*backward_scratch)(int32_t key_tiles, int32_t size);
  /// Query tiles [first, last) of a head. Scratch is 64-byte aligned.
  void (*forward)(const AttentionTiles&, const AttentionHead&, int32_t first, int32_t last, float* scratch);
  /// All gradients of a head; `y` and `logsumexp` are the forward's and are only read.
  void (*backward)(const AttentionTiles&, const AttentionHead&, const AttentionHeadGradients&,
                   float* scratch);
};

extern const AttentionKernels attention_avx2;
extern const AttentionKernels attention_avx512;
extern const AttentionKernels attention_avx512bf16;
extern const AttentionKernels attention_amx;

/// The fastest that may be used: with products in bf16 if `compute` says so and the processor has them.
const AttentionKernels& attention_kernels(DType compute);

}  // namespace dalle1::cpu
