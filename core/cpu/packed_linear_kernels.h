// The packed product's register blocks, for the instruction set that the including file is compiled for.
#pragma once

#include <utility>

#include "core/cpu/lanes.h"
#include "core/cpu/packed_linear.h"

namespace dalle1::cpu {
namespace {

#if defined(__AVX512F__)
constexpr int panel_lanes = 2, most_rows = 12;  // 24 of 32 registers hold sums
#else
constexpr int panel_lanes = 1, most_rows = 6;  // 12 of 16
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

/// All rows of the block times P panels, in register blocks of nearly equal height.
template <int P, int... R>
void multiply_rows(const PackedLinearBlock& block, int64_t panel, std::integer_sequence<int, R...>) {
  using Function = void (*)(const PackedLinearBlock&, int64_t, int64_t);
  constexpr Function by_height[] = {multiply_registers<R + 1, P>...};
  constexpr int64_t tallest = sizeof...(R);
  const int64_t pieces = (block.rows + tallest - 1) / tallest;
  for (int64_t i = 0; i < pieces; ++i) {
    const int64_t begin = block.rows * i / pieces, end = block.rows * (i + 1) / pieces;
    by_height[end - begin - 1](block, begin, panel);
  }
}

/// P panels at a time: with few rows, more panels keep enough independent chains in flight.
template <int P>
void multiply_panels(const PackedLinearBlock& block) {
  int64_t panel = 0;
  for (; panel + P <= block.panel_count; panel += P)
    multiply_rows<P>(block, panel, std::make_integer_sequence<int, most_rows / P>());
  for (; panel < block.panel_count; ++panel)
    multiply_rows<1>(block, panel, std::make_integer_sequence<int, most_rows>());
}

void multiply(const PackedLinearBlock& block) {
  if (block.rows <= most_rows / 4)
    multiply_panels<4>(block);
  else if (block.rows <= most_rows / 2)
    multiply_panels<2>(block);
  else
    multiply_panels<1>(block);
}

constexpr PackedLinearKernels kernels = {panel_width, most_rows, pack_panel, multiply};

}  // namespace
}  // namespace dalle1::cpu
