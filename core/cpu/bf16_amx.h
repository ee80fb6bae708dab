// The bf16 product's register block on AMX; what includes it brings the tile functions (amx_tiles.h).
#pragma once

#include "core/cpu/bf16_product_kernels.h"

namespace dalle1::cpu {
namespace {

/// Asks for eight rows of the result, which else is fetched from memory only when it is stored.
inline void prefetch_sums(const Bf16Block& block, int row) {
  for (int r = row; r < row + 8; ++r) {
    const char* place = reinterpret_cast<const char*>(block.c + r * block.c_stride);
    __builtin_prefetch(place, 1);
    __builtin_prefetch(place + 64, 1);
  }
}

// Registers 0 to 3 hold the sums, 4 and 5 two row tiles, 6 and 7 two column tiles.
inline void multiply_bf16_tiles(const Bf16Block& block) {
  constexpr int tile_bytes = bf16_tile_depth * sizeof(Bf16);  // of a row of a packed tile
  if (block.begin) {
    const int64_t bytes = block.begin_stride * sizeof(float);
    const float* lower = block.begin + bf16_tile * block.begin_stride;
    DALLE1_TILE_LOAD(0, block.begin, bytes);
    DALLE1_TILE_LOAD(1, block.begin + bf16_tile, bytes);
    DALLE1_TILE_LOAD(2, lower, bytes);
    DALLE1_TILE_LOAD(3, lower + bf16_tile, bytes);
  } else {
    DALLE1_TILE_ZERO(0);
    DALLE1_TILE_ZERO(1);
    DALLE1_TILE_ZERO(2);
    DALLE1_TILE_ZERO(3);
  }
  for (int64_t step = 0; step < block.steps; ++step) {
    const int64_t tile = step * bf16_tile_size;
    if (step < 4) prefetch_sums(block, static_cast<int>(step) * 8);
    DALLE1_TILE_LOAD(4, block.rows[0] + tile, tile_bytes);
    DALLE1_TILE_LOAD(6, block.columns[0] + tile, tile_bytes);
    DALLE1_TILE_DOT_BF16(0, 4, 6);
    DALLE1_TILE_LOAD(7, block.columns[1] + tile, tile_bytes);
    DALLE1_TILE_DOT_BF16(1, 4, 7);
    DALLE1_TILE_LOAD(5, block.rows[1] + tile, tile_bytes);
    DALLE1_TILE_DOT_BF16(2, 5, 6);
    DALLE1_TILE_DOT_BF16(3, 5, 7);
  }
  const int64_t bytes = block.c_stride * sizeof(float);
  float* lower = block.c + bf16_tile * block.c_stride;
  DALLE1_TILE_STORE(0, block.c, bytes);
  DALLE1_TILE_STORE(1, block.c + bf16_tile, bytes);
  DALLE1_TILE_STORE(2, lower, bytes);
  DALLE1_TILE_STORE(3, lower + bf16_tile, bytes);
}

}  // namespace
}  // namespace dalle1::cpu
