// The packed product's register blocks, for the instruction set that the including file is compiled for.
#pragma once

#include "core/cpu/lanes.h"
#include "core/cpu/packed_linear.h"
#include "core/cpu/register_blocks.h"

namespace dalle1::cpu {
namespace {

#if defined(__AVX512F__)
constexpr int panel_lanes = 2, panel_rows = 12;  // 24 of 32 registers hold sums
#else
constexpr int panel_lanes = 1, panel_rows = 6;  // 12 of 16
#endif
constexpr int panel_width = panel_lanes * lane_count;
constexpr int prefetch_distance = 1024;  // floats ahead in each panel

/// Copies panel number `panel` of w [columns, depth] into packed [depth, panel_width].
void pack_panel(const float* w, int64_t columns, int64_t depth, int64_t panel, float* packed) {
  const int64_t first = panel * panel_width;
  for (int64_t c = 0; c < panel_width; ++c) {
    const float* row = w + (first + c) * depth;
    const bool padding = first + c >= columns;
    for (int64_t k = 0; k < depth; ++k) packed[k * panel_width + c] = padding ? 0.0f : row[k];
  }
}

/// Writes one register of sums; `room` columns of the output are left from here.
inline void finish(Lanes sums, const float* bias, float* y, int64_t room) {
  if (room >= lane_count) {
    store(y, bias ? sums + load(bias) : sums);
  } else if (room > 0) {
    const int count = static_cast<int>(room);
    store_first(y, bias ? sums + load_first(bias, count) : sums, count);
  }
}

/// R rows times P panels, from row `row` and panel `panel` of the block.
template <int R, int P>
void multiply_registers(const PackedLinearBlock& block, int64_t row, int64_t panel) {
  constexpr int width = P * panel_lanes;
  const int64_t depth = block.depth, panel_size = depth * panel_width;
  const float* x = block.x + row * depth;
  const float* w = block.panels + panel * panel_size;
  Lanes sums[R][width];
#pragma GCC unroll 32
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 32
    for (int c = 0; c < width; ++c) sums[r][c] = zero();
  for (int64_t k = 0; k < depth; ++k) {
    Lanes column[width];
#pragma GCC unroll 32
    for (int c = 0; c < width; ++c) {
      const float* place =
          w + (c / panel_lanes) * panel_size + k * panel_width + (c % panel_lanes) * lane_count;
      column[c] = load(place);
      _mm_prefetch(reinterpret_cast<const char*>(place + prefetch_distance), _MM_HINT_T0);
    }
#pragma GCC unroll 32
    for (int r = 0; r < R; ++r) {
      const Lanes value = broadcast(x[r * depth + k]);
#pragma GCC unroll 32
      for (int c = 0; c < width; ++c) sums[r][c] = fma(value, column[c], sums[r][c]);
    }
  }
  const int64_t first = panel * panel_width;
#pragma GCC unroll 32
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 32
    for (int c = 0; c < width; ++c) {
      const int64_t at = first + c * lane_count;
      finish(sums[r][c], block.bias ? block.bias + at : nullptr, block.y + (row + r) * block.y_stride + at,
             block.columns - at);
    }
}

struct PackedProduct {
  static constexpr int most_rows = panel_rows;
  template <int R, int P>
  static void registers(const PackedLinearBlock& block, int64_t row, int64_t panel) {
    multiply_registers<R, P>(block, row, panel);
  }
};

constexpr PackedLinearKernels kernels = {panel_width, panel_rows, pack_panel,
                                         multiply_block<PackedProduct, PackedLinearBlock>};

}  // namespace
}  // namespace dalle1::cpu
