// Products of small matrices that lie in cache, for the instruction set that the including file is compiled
// for.
#pragma once

#include "core/cpu/lanes.h"

namespace dalle1::cpu {
namespace {

/// a, [rows, depth] with any strides; b [depth, columns], floats or bf16, and c [rows, columns] with
/// contiguous columns.
struct SmallProduct {
  const float* a;
  int64_t a_row, a_depth;
  const float* b;
  int64_t b_stride;
  float* c;
  int64_t c_stride;
  int64_t depth;
  int64_t b_panel = lane_count;  ///< Numbers between one whole lane of columns and the next.
};

/// c (+)= a b for R rows and C * 16 columns; each output is one chain of fused multiply-adds over depth.
template <int R, int C, bool accumulate>
inline void product_registers(const SmallProduct& p, int64_t row, int64_t column) {
  const float* a = p.a + row * p.a_row;
  const float* b = p.b + column / lane_count * p.b_panel;
  float* c = p.c + row * p.c_stride + column;
  Lanes sums[R][C];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
    for (int j = 0; j < C; ++j) sums[r][j] = accumulate ? load(c + r * p.c_stride + j * lane_count) : zero();
  for (int64_t k = 0; k < p.depth; ++k) {
    Lanes values[C];
#pragma GCC unroll 16
    for (int j = 0; j < C; ++j) values[j] = held(load(b + k * p.b_stride + j * p.b_panel));
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const Lanes factor = broadcast(a[r * p.a_row + k * p.a_depth]);
#pragma GCC unroll 16
      for (int j = 0; j < C; ++j) sums[r][j] = fma(factor, values[j], sums[r][j]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
    for (int j = 0; j < C; ++j) store(c + r * p.c_stride + j * lane_count, sums[r][j]);
}

#if defined(__AVX512F__)
constexpr int product_rows = 8, product_columns = 2, few_rows_columns = 4;
#else
constexpr int product_rows = 4, product_columns = 1, few_rows_columns = 2;
#endif

/// `rows` a multiple of 8, `columns` of 16.
template <bool accumulate>
void multiply_small(const SmallProduct& p, int64_t rows, int64_t columns) {
  constexpr int64_t step = product_columns * lane_count;
  int64_t column = 0;
  for (; column + step <= columns; column += step)
    for (int64_t row = 0; row < rows; row += product_rows)
      product_registers<product_rows, product_columns, accumulate>(p, row, column);
  for (; column < columns; column += lane_count)
    for (int64_t row = 0; row < rows; row += product_rows)
      product_registers<product_rows, 1, accumulate>(p, row, column);
}

}  // namespace
}  // namespace dalle1::cpu
