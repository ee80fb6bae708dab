// Products of eight-bit numbers: weights symmetric with a scale a row, activations rounded row by row.
//
// Sums are exact in 32 bits for K up to 65,536, whatever the order, so every instruction set, every number of
// rows and of threads gives the same bits; then y = (sum * scale of the row of x) * scale of the row of w +
// bias, one rounding each.
//
// Weights lie in panels of `width` columns of the output, [panel][step][column][k of the step]; a step takes
// `depth_step` consecutive k. What is missing in the last panel and the last step is zero.
#pragma once

#include <cstdint>

namespace dalle1::cpu {

/// A block of rows times consecutive panels.
struct Int8LinearBlock {
  const char* x = nullptr;         ///< Rounded rows, each steps * 4 bytes.
  const float* x_scale = nullptr;  ///< [rows]
  int64_t rows = 0;
  int64_t steps = 0;
  const int8_t* panels = nullptr;    ///< [panel_count, steps, width, depth_step]
  const int32_t* offsets = nullptr;  ///< [panel_count, width]: where sums begin.
  int64_t panel_count = 0;
  const float* scale = nullptr;  ///< Of the first column.
  const float* bias = nullptr;   ///< Of the first column, or null.
  float* y = nullptr;            ///< First output; rows lie `y_stride` apart.
  int64_t y_stride = 0;
  int64_t columns = 0;  ///< Columns of y from the first panel on; the last panel may be partly used.
};

/// How a kernel wants the rounded activations of a step, in 32 bits.
enum class Int8Activations : uint8_t {
  pairs,  ///< Two k as i16: exact products of pairs (vpmaddwd), with weights widened on the way.
  fours,  ///< Four k as u8, 128 more than they are (vpdpbusd): sums begin at -128 times the weights' sum.
};

struct Int8LinearKernels {
  int width;     ///< Columns of a panel.
  int row_step;  ///< Rows that one register block covers; blocks of a multiple of it waste nothing.
  Int8Activations activations;
  void (*multiply)(const Int8LinearBlock& block);
  int step_multiple = 1;  ///< Of the steps of a row; those beyond the depth have weights of zero.

  int depth_step() const { return activations == Int8Activations::pairs ? 2 : 4; }
  int64_t steps(int64_t depth) const {
    const int64_t multiple = int64_t{depth_step()} * step_multiple;
    return (depth + multiple - 1) / multiple * step_multiple;
  }
};

extern const Int8LinearKernels int8_linear_avx2;
extern const Int8LinearKernels int8_linear_avx512;
extern const Int8LinearKernels int8_linear_avxvnni;
extern const Int8LinearKernels int8_linear_vnni;
extern const Int8LinearKernels int8_linear_amx;

/// The fastest that this processor runs.
const Int8LinearKernels& int8_linear();

/// Puts columns [panel * width, ..) of q [columns, depth] into one panel and its offsets.
void pack_int8_panel(const Int8LinearKernels& kernels, const int8_t* q, int64_t columns, int64_t depth,
                     int64_t panel, int8_t* packed, int32_t* offsets);

/// Rounds x [depth] to 127 steps of its largest magnitude, halves to even, and returns the step: 0 with zeros
/// where every magnitude is below 1.5e-36, NaN where one is not finite.
float round_int8_row(Int8Activations form, const float* x, int64_t depth, char* rounded);

}  // namespace dalle1::cpu
