// Cutting a product into pieces that stay in caches while they are multiplied.
#include "core/cpu/bf16_product.h"

#include <algorithm>
#include <cstring>

#include "core/cpu/parallel.h"
#include "core/cpu/thread_scratch.h"

namespace dalle1::cpu {
namespace {

constexpr int64_t kPair = 2 * bf16_tile;  // rows or columns of a register block
constexpr int64_t kRows = 256;  // rows that are packed at a time: half of the second-level cache at most
constexpr int64_t kColumnPairs = 32;  // that the rows pass by at a time, from the second-level cache
constexpr int64_t kDepth = 512;       // of the depth: two column tiles stay in the first-level cache

int64_t ceil_divide(int64_t a, int64_t b) { return (a + b - 1) / b; }

Bf16Source at(const Bf16Source& source, int64_t i, int64_t k) {
  Bf16Source moved = source;
  moved.data += i * source.stride + k * source.depth_stride;
  return moved;
}

/// A range of one axis.
struct Range {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};

using Pack = void (*)(const Bf16Source&, int64_t, int64_t, Bf16*);

/// `items` of the source as tiles [item tiles, an even number][steps].
void pack(Pack pack_tile, const Bf16Source& source, Range items, Range depth, Bf16* tiles) {
  const int64_t steps = ceil_divide(depth.size(), bf16_tile_depth);
  const int64_t count = 2 * ceil_divide(items.size(), kPair);
  const auto pack_one = [&](int64_t i, int64_t step) {
    const int64_t item = items.begin + i * bf16_tile, k = depth.begin + step * bf16_tile_depth;
    const int64_t left = std::clamp<int64_t>(items.end - item, 0, bf16_tile);
    pack_tile(at(source, left ? item : items.begin, k), left,
              std::min<int64_t>(depth.end - k, bf16_tile_depth), tiles + (i * steps + step) * bf16_tile_size);
  };
  // Along the lines of memory.
  if (source.depth_stride == 1)
    for (int64_t i = 0; i < count; ++i)
      for (int64_t step = 0; step < steps; ++step) pack_one(i, step);
  else
    for (int64_t step = 0; step < steps; ++step)
      for (int64_t i = 0; i < count; ++i) pack_one(i, step);
}

/// Blocks at the right and lower border go through a buffer.
void multiply_border(const Bf16Kernels& kernels, Bf16Block block, int64_t rows, int64_t columns) {
  alignas(64) float whole[kPair * kPair], begin[kPair * kPair] = {};
  if (block.begin) {
    for (int64_t r = 0; r < (block.begin_stride ? rows : 1); ++r)
      std::memcpy(begin + r * kPair, block.begin + r * block.begin_stride, columns * sizeof(float));
    block.begin = begin;
    if (block.begin_stride) block.begin_stride = kPair;
  }
  float* const target = block.c;
  const int64_t stride = block.c_stride;
  block.c = whole;
  block.c_stride = kPair;
  kernels.multiply(block);
  for (int64_t r = 0; r < rows; ++r)
    std::memcpy(target + r * stride, whole + r * kPair, columns * sizeof(float));
}

/// Rows and columns of y, from packed operands of which the first tiles are those of the ranges' begin.
void multiply_packed(const Bf16Kernels& kernels, const Bf16Product& p, Range rows, Range columns, Range depth,
                     const Bf16* row_tiles, const Bf16* column_tiles) {
  const int64_t steps = ceil_divide(depth.size(), bf16_tile_depth), tile_row = steps * bf16_tile_size;
  for (int64_t row = rows.begin; row < rows.end; row += kPair)
    for (int64_t column = columns.begin; column < columns.end; column += kPair) {
      const Bf16* r = row_tiles + (row - rows.begin) / bf16_tile * tile_row;
      const Bf16* c = column_tiles + (column - columns.begin) / bf16_tile * tile_row;
      Bf16Block block{{r, r + tile_row}, {c, c + tile_row}, steps, nullptr, 0, p.y + row * p.columns + column,
                      p.columns};
      if (p.accumulate || depth.begin > 0) {
        block.begin = block.c;
        block.begin_stride = block.c_stride;
      } else if (p.bias) {
        block.begin = p.bias + column;
      }
      const int64_t height = rows.end - row, width = columns.end - column;
      if (height >= kPair && width >= kPair)
        kernels.multiply(block);
      else
        multiply_border(kernels, block, std::min(height, kPair), std::min(width, kPair));
    }
}

void fill_empty(const Bf16Product& p) {
  if (p.accumulate) return;
  for (int64_t r = 0; r < p.rows; ++r)
    for (int64_t c = 0; c < p.columns; ++c) p.y[r * p.columns + c] = p.bias ? p.bias[c] : 0.0f;
}

int64_t floats_of_tiles(int64_t items, int64_t depth) {
  return 2 * ceil_divide(items, kPair) * ceil_divide(depth, bf16_tile_depth) * bf16_tile_size / 2;
}

}  // namespace

const Bf16Kernels* bf16_kernels() {
  static const Bf16Kernels* const best = may_use(Isa::amx)    ? &bf16_amx
                                         : may_use(Isa::bf16) ? &bf16_avx512bf16
                                                              : nullptr;
  return best;
}

void multiply_bf16(const Bf16Kernels& kernels, const Bf16Product& p, Device& device, int threads) {
  if (p.rows == 0 || p.columns == 0) return;
  if (p.depth == 0) return fill_empty(p);
  const int64_t deepest = std::min(p.depth, kDepth);
  const Tensor column_memory = Tensor::empty(device, {floats_of_tiles(p.columns, deepest)});
  auto* column_tiles = reinterpret_cast<Bf16*>(column_memory.floats());
  const int64_t row_blocks = ceil_divide(p.rows, kRows), column_pairs = ceil_divide(p.columns, kPair);
  const int64_t groups = threads > 1 ? std::min(column_pairs, ceil_divide(4 * threads, row_blocks)) : 1;
  const ThreadScratch scratch(device, std::min<int64_t>(threads, row_blocks * groups),
                              floats_of_tiles(std::min(p.rows, kRows), deepest));
  for (int64_t k = 0; k < p.depth; k += kDepth) {
    const Range depth{k, std::min(p.depth, k + kDepth)};
    const int64_t pair_size = 2 * ceil_divide(depth.size(), bf16_tile_depth) * bf16_tile_size;
    const auto columns_of = [&](int64_t first, int64_t last) {
      return Range{first * kPair, std::min(p.columns, last * kPair)};
    };
    parallel_for(threads, column_pairs, 8, [&](int64_t first, int64_t last) {
      pack(kernels.pack_columns, p.b, columns_of(first, last), depth, column_tiles + first * pair_size);
    });
    parallel_tasks(threads, row_blocks * groups, [&](int64_t piece) {
      const int64_t block = piece / groups, group = piece % groups;
      const Range rows{block * kRows, std::min(p.rows, (block + 1) * kRows)};
      const int64_t first = column_pairs * group / groups, last = column_pairs * (group + 1) / groups;
      auto* row_tiles = reinterpret_cast<Bf16*>(scratch.mine());
      pack(kernels.pack_rows, p.a, rows, depth, row_tiles);
      kernels.begin();
      for (int64_t pair = first; pair < last; pair += kColumnPairs)
        multiply_packed(kernels, p, rows, columns_of(pair, std::min(last, pair + kColumnPairs)), depth,
                        row_tiles, column_tiles + pair * pair_size);
      kernels.end();
    });
  }
}

}  // namespace dalle1::cpu
