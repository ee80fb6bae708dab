// One head of tiled attention, compiled once per instruction set; the same bits from each.
#pragma once

#include <cstdint>

#include "core/attention/attention_tiles.h"
#include "core/cpu/isa.h"
#include "core/tensor/dtype.h"

namespace dalle1::cpu {

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
