// The bf16 product's tiles and register blocks, for the instruction set that the including file is compiled
// for.
#pragma once

#include "core/cpu/bf16_lanes.h"
#include "core/cpu/bf16_product.h"

namespace dalle1::cpu {
namespace {

/// Sixteen lanes of the source from element `from`, of which `count` are there.
inline Lanes load_up_to(const float* from, int64_t count) {
  if (count >= lane_count) return load(from);
  return count > 0 ? load_first(from, static_cast<int>(count)) : zero();
}

/// The tile as the source has it. Along the depth, line i is item i with its pairs of k; else line i is pair
/// i of k with all items. A whole tile has all its 16 items and 32 k.
template <bool along_depth, bool whole>
inline void load_lines(const Bf16Source& source, int64_t count, int64_t depth, Pairs (&lines)[lane_count]) {
  constexpr int half = lane_count;
  for (int i = 0; i < lane_count; ++i) {
    if constexpr (along_depth) {
      const float* line = source.data + i * source.stride;
      if constexpr (whole)
        lines[i] = rounded(load(line), load(line + half));
      else
        lines[i] = i < count ? rounded(load_up_to(line, depth), load_up_to(line + half, depth - half))
                             : rounded(zero(), zero());
    } else {
      const float *even = source.data + 2 * i * source.depth_stride, *odd = even + source.depth_stride;
      if constexpr (whole)
        lines[i] = rounded_and_woven(load(even), load(odd));
      else
        lines[i] = rounded_and_woven(2 * i < depth ? load_up_to(even, count) : zero(),
                                     2 * i + 1 < depth ? load_up_to(odd, count) : zero());
    }
  }
}

template <bool along_depth, bool items_first, bool whole>
inline void pack_lines(const Bf16Source& source, int64_t count, int64_t depth, Bf16* tile) {
  Pairs lines[lane_count];
  load_lines<along_depth, whole>(source, count, depth, lines);
  if constexpr (along_depth != items_first) transpose(lines);
  for (int i = 0; i < lane_count; ++i) store_pairs(tile + i * bf16_tile_depth, lines[i]);
}

template <bool items_first>
inline void pack_tile(const Bf16Source& source, int64_t count, int64_t depth, Bf16* tile) {
  const bool whole = count == bf16_tile && depth >= bf16_tile_depth;
  if (source.depth_stride == 1)
    whole ? pack_lines<true, items_first, true>(source, count, depth, tile)
          : pack_lines<true, items_first, false>(source, count, depth, tile);
  else
    whole ? pack_lines<false, items_first, true>(source, count, depth, tile)
          : pack_lines<false, items_first, false>(source, count, depth, tile);
}

inline void pack_bf16_rows(const Bf16Source& source, int64_t count, int64_t depth, Bf16* tile) {
  pack_tile<true>(source, count, depth, tile);
}
inline void pack_bf16_columns(const Bf16Source& source, int64_t count, int64_t depth, Bf16* tile) {
  pack_tile<false>(source, count, depth, tile);
}

constexpr int bf16_register_rows = 8;

/// Eight rows of a row tile times both column tiles.
inline void multiply_bf16_registers(const Bf16Block& block, int row) {
  const Bf16* rows = block.rows[row / bf16_tile] + row % bf16_tile * bf16_tile_depth;
  Lanes sums[bf16_register_rows][2];
#pragma GCC unroll 8
  for (int r = 0; r < bf16_register_rows; ++r)
#pragma GCC unroll 2
    for (int c = 0; c < 2; ++c)
      sums[r][c] = block.begin ? load(block.begin + (row + r) * block.begin_stride + c * lane_count) : zero();
  for (int64_t step = 0; step < block.steps; ++step) {
    const int64_t tile = step * bf16_tile_size;
    for (int pair = 0; pair < bf16_tile_depth / 2; ++pair) {
      Pairs columns[2];
#pragma GCC unroll 2
      for (int c = 0; c < 2; ++c) columns[c] = load_pairs(block.columns[c] + tile + pair * 2 * bf16_tile);
#pragma GCC unroll 8
      for (int r = 0; r < bf16_register_rows; ++r) {
        const Pairs factor = broadcast_pair(rows + tile + r * bf16_tile_depth + 2 * pair);
#pragma GCC unroll 2
        for (int c = 0; c < 2; ++c) sums[r][c] = dot(sums[r][c], factor, columns[c]);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < bf16_register_rows; ++r)
#pragma GCC unroll 2
    for (int c = 0; c < 2; ++c) store(block.c + (row + r) * block.c_stride + c * lane_count, sums[r][c]);
}

inline void multiply_bf16_block(const Bf16Block& block) {
  for (int row = 0; row < 2 * bf16_tile; row += bf16_register_rows) multiply_bf16_registers(block, row);
}

}  // namespace
}  // namespace dalle1::cpu
