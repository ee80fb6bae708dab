// The eight-bit product on AMX; what includes it brings the tile functions (amx_tiles.h) and the register
// blocks for vpdpbusd (int8_linear_kernels.h), which do the rows that fill no tile.
#pragma once

#include "core/cpu/int8_linear_kernels.h"

namespace dalle1::cpu {
namespace {

constexpr int int8_tile = 16;        // rows, or columns, of a tile of sums
constexpr int int8_tile_steps = 16;  // steps of four k in a tile of operands
static_assert(int8_width == 2 * int8_tile);

/// The outputs of a panel for `count` rows from their sums [count, width].
inline void finish_int8_rows(const Int8LinearBlock& block, int64_t row, int count, int64_t panel,
                             const int32_t* sums) {
  for (int r = 0; r < count; ++r)
    for (int64_t c = 0; c < int8_width; c += lane_count) {
      const int64_t at = panel * int8_width + c;
      finish(load_sums(sums + r * int8_width + c), block.x_scale[row + r], block.scale + at,
             block.bias ? block.bias + at : nullptr, block.y + (row + r) * block.y_stride + at,
             block.columns - at);
    }
}

/// Thirty-two rows, or with `half` sixteen, times a panel. Registers 0 to 3 hold the sums, 4 and 5 rows, 6
/// and 7 the panel's halves.
template <bool half>
void multiply_int8_tiles(const Int8LinearBlock& block, int64_t row, int64_t panel) {
  const int64_t x_bytes = block.steps * 4;
  constexpr int64_t panel_bytes = int8_width * int8_step;
  const char* upper = block.x + row * x_bytes;
  const char* lower = upper + int8_tile * x_bytes;
  const int8_t* w = block.panels + panel * block.steps * panel_bytes;
  const int32_t* offsets = block.offsets + panel * int8_width;
  DALLE1_TILE_LOAD(0, offsets, 0);
  DALLE1_TILE_LOAD(1, offsets + int8_tile, 0);
  if constexpr (!half) {
    DALLE1_TILE_LOAD(2, offsets, 0);
    DALLE1_TILE_LOAD(3, offsets + int8_tile, 0);
  }
  for (int64_t step = 0; step < block.steps; step += int8_tile_steps) {
    const int8_t* weights = w + step * panel_bytes;
    DALLE1_TILE_LOAD(4, upper + step * 4, x_bytes);
    DALLE1_TILE_LOAD(6, weights, panel_bytes);
    DALLE1_TILE_LOAD(7, weights + int8_tile * int8_step, panel_bytes);
    DALLE1_TILE_DOT_INT8(0, 4, 6);
    DALLE1_TILE_DOT_INT8(1, 4, 7);
    if constexpr (!half) {
      DALLE1_TILE_LOAD(5, lower + step * 4, x_bytes);
      DALLE1_TILE_DOT_INT8(2, 5, 6);
      DALLE1_TILE_DOT_INT8(3, 5, 7);
    }
  }
  alignas(64) int32_t sums[2 * int8_tile * int8_width];
  constexpr int64_t sums_bytes = int8_width * sizeof(int32_t);
  DALLE1_TILE_STORE(0, sums, sums_bytes);
  DALLE1_TILE_STORE(1, sums + int8_tile, sums_bytes);
  if constexpr (!half) {
    DALLE1_TILE_STORE(2, sums + int8_tile * int8_width, sums_bytes);
    DALLE1_TILE_STORE(3, sums + int8_tile * int8_width + int8_tile, sums_bytes);
  }
  finish_int8_rows(block, row, half ? int8_tile : 2 * int8_tile, panel, sums);
}

void multiply_int8_block(const Int8LinearBlock& block) {
  configure_tiles();
  int64_t whole = block.rows / int8_tile * int8_tile;
  for (int64_t panel = 0; panel < block.panel_count; ++panel) {
    int64_t row = 0;
    for (; row + 2 * int8_tile <= whole; row += 2 * int8_tile) multiply_int8_tiles<false>(block, row, panel);
    if (row < whole) multiply_int8_tiles<true>(block, row, panel);
  }
  release_tiles();
  Int8LinearBlock rest = block;
  rest.x += whole * block.steps * 4;
  rest.x_scale += whole;
  rest.rows -= whole;
  rest.y += whole * block.y_stride;
  if (rest.rows > 0) int8_kernels.multiply(rest);
}

constexpr Int8LinearKernels int8_amx_kernels = {int8_width, 2 * int8_tile, Int8Activations::fours,
                                                multiply_int8_block, int8_tile_steps};

}  // namespace
}  // namespace dalle1::cpu
