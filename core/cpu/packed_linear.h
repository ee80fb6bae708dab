// Products with weights that were packed once: the batch-invariant `linear` of inference.
//
// Weights [N, K] are stored in panels of `width` columns of the output, [panel][k][column], the last panel
// padded by zeros. Each output is one chain of fused multiply-adds over k from 0, then the bias, whatever
// the number of rows, the panel's width or the instruction set.
#pragma once

#include <cstdint>

#include "core/cpu/isa.h"

namespace dalle1::cpu {

/// A block of rows times consecutive panels.
struct PackedLinearBlock {
  const float* x = nullptr;  ///< [rows, K]
  int64_t rows = 0;
  int64_t depth = 0;              ///< K
  const float* panels = nullptr;  ///< [panel_count, K, width]
  int64_t panel_count = 0;
  const float* bias = nullptr;  ///< Of the first column, or null.
  float* y = nullptr;           ///< First output; rows lie `y_stride` apart.
  int64_t y_stride = 0;
  int64_t columns = 0;  ///< Columns of y from the first panel on; the last panel may be partly used.
};

struct PackedLinearKernels {
  int width;     ///< Columns of a panel.
  int row_step;  ///< Rows that one register block covers; blocks of a multiple of it waste nothing.
  void (*pack)(const float* w, int64_t columns, int64_t depth, int64_t panel, float* packed);
  void (*multiply)(const PackedLinearBlock& block);
};

extern const PackedLinearKernels packed_linear_avx2;
extern const PackedLinearKernels packed_linear_avx512;

inline const PackedLinearKernels& packed_linear(Isa isa) {
  return isa == Isa::avx512 ? packed_linear_avx512 : packed_linear_avx2;
}

}  // namespace dalle1::cpu
