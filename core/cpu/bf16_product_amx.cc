#include "core/cpu/amx_tiles.h"
#include "core/cpu/bf16_product_kernels.h"

namespace dalle1::cpu {
namespace {

constexpr int tile_bytes = bf16_tile_depth * sizeof(Bf16);  // of a row of a packed tile

// Registers 0 to 3 hold the sums, 4 and 5 two row tiles, 6 and 7 two column tiles.
void multiply(const Bf16Block& block) {
  if (block.begin) {
    const int64_t bytes = block.begin_stride * sizeof(float);
    const float* lower = block.begin + bf16_tile * block.begin_stride;
    _tile_loadd(0, block.begin, bytes);
    _tile_loadd(1, block.begin + bf16_tile, bytes);
    _tile_loadd(2, lower, bytes);
    _tile_loadd(3, lower + bf16_tile, bytes);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  for (int64_t step = 0; step < block.steps; ++step) {
    const int64_t tile = step * bf16_tile_size;
    _tile_loadd(4, block.rows[0] + tile, tile_bytes);
    _tile_loadd(6, block.columns[0] + tile, tile_bytes);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, block.columns[1] + tile, tile_bytes);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, block.rows[1] + tile, tile_bytes);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  const int64_t bytes = block.c_stride * sizeof(float);
  float* lower = block.c + bf16_tile * block.c_stride;
  _tile_stored(0, block.c, bytes);
  _tile_stored(1, block.c + bf16_tile, bytes);
  _tile_stored(2, lower, bytes);
  _tile_stored(3, lower + bf16_tile, bytes);
}

}  // namespace

const Bf16Kernels bf16_amx = {pack_bf16_rows, pack_bf16_columns, configure_tiles, release_tiles, multiply};

}  // namespace dalle1::cpu
