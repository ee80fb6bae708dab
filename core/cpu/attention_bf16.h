// Tiled attention as in attention_tiles.h with products of operands rounded to bf16. The including file
// defines bf16_block(const Bf16Block&), begin_bf16() and end_bf16().
#pragma once

#include <cstring>

#include "core/cpu/attention_rows.h"
#include "core/cpu/bf16_product_kernels.h"

namespace dalle1::cpu {
namespace {

static_assert(tile == 2 * bf16_tile && tile == bf16_tile_depth);
constexpr int64_t bf16_pair =
    2 * bf16_tile_size;  ///< Of a tile's 32 positions times 32 of the head, or of keys.

/// The head's numbers in whole register blocks.
constexpr int64_t bf16_width(int64_t size) { return (size + tile - 1) / tile * tile; }

/// A [tile, width] matrix in f32 as operands. Summed over the head: [2 tiles][width / 32 steps]. Summed over
/// the positions: [width / 16 tiles], one step each.
template <bool rows>
void pack_over_head(const float* matrix, int64_t width, Bf16* packed) {
  const int64_t steps = width / tile;
  for (int64_t i = 0; i < 2; ++i)
    for (int64_t step = 0; step < steps; ++step) {
      const Bf16Source source{matrix + i * bf16_tile * width + step * tile, width, 1};
      pack_tile<rows>(source, bf16_tile, tile, packed + (i * steps + step) * bf16_tile_size);
    }
}
void pack_over_positions(const float* matrix, int64_t width, Bf16* packed) {
  for (int64_t i = 0; i < width / bf16_tile; ++i)
    pack_tile<false>({matrix + i * bf16_tile, 1, width}, bf16_tile, tile, packed + i * bf16_tile_size);
}
/// A [tile, tile] matrix, or its transpose, as rows.
void pack_square(const float* matrix, int64_t stride, bool transposed, Bf16* packed) {
  for (int64_t i = 0; i < 2; ++i) {
    const Bf16Source source = transposed ? Bf16Source{matrix + i * bf16_tile, 1, stride}
                                         : Bf16Source{matrix + i * bf16_tile * stride, stride, 1};
    pack_tile<true>(source, bf16_tile, tile, packed + i * bf16_tile_size);
  }
}

/// c [tile, tile] = rows times columns, both packed over the head.
void multiply_over_head(const Bf16* rows, const Bf16* columns, int64_t width, float* c, int64_t stride) {
  const int64_t steps = width / tile, next = steps * bf16_tile_size;
  bf16_block({{rows, rows + next}, {columns, columns + next}, steps, nullptr, 0, c, stride});
}
/// sums [tile, width] += square times columns that are packed over the positions.
void add_over_positions(const Bf16* square, const Bf16* columns, int64_t width, float* sums) {
  for (int64_t d = 0; d < width; d += tile) {
    const Bf16* pair = columns + d / tile * bf16_pair;
    float* c = sums + d;
    bf16_block({{square, square + bf16_tile_size}, {pair, pair + bf16_tile_size}, 1, c, width, c, width});
  }
}

/// Parts of the scratch memory in bf16.
Bf16* take_bf16(Scratch& scratch, int64_t count) { return reinterpret_cast<Bf16*>(scratch.take(count / 2)); }

int64_t forward_scratch(int32_t key_tiles, int32_t size) {
  const int64_t width = bf16_width(size);
  return key_tiles * tile * width + 3 * tile * width + tile * strip + tile * tile;
}

/// Keys packed over the head and values packed over the positions, tile after tile.
struct PackedKeys {
  const Bf16 *keys, *values;
};

void forward_query_tile(const AttentionTiles& plan, const AttentionHead& head, int32_t query_tile,
                        const PackedKeys& packed, Scratch scratch) {
  const int64_t width = bf16_width(head.size), packed_size = tile * width;
  float* rows = scratch.take(tile * width);
  float* sums = scratch.take(tile * width);
  float* scores = scratch.take(tile * strip);
  Bf16* queries = take_bf16(scratch, packed_size);
  Bf16* weights = take_bf16(scratch, bf16_pair);
  const int32_t first = query_tile * tile;
  gather_rows({head.q, head.stride, head.size}, plan.query_order, first, plan.queries, head.scale, rows,
              width);
  pack_over_head<true>(rows, width, queries);
  std::memset(sums, 0, tile * width * sizeof(float));
  OnlineSoftmax state;
  start_softmax(state);
  const AttentionVisit* visit = plan.visits + plan.begin[query_tile];
  const AttentionVisit* end = plan.visits + plan.begin[query_tile + 1];
  while (visit < end) {
    const int count = static_cast<int>(end - visit < strip_tiles ? end - visit : strip_tiles);
    for (int i = 0; i < count; ++i) {
      float* place = scores + i * tile;
      multiply_over_head(queries, packed.keys + visit[i].key_tile * packed_size, width, place, strip);
      if (visit[i].mask >= 0) apply_mask(plan.masks + visit[i].mask * tile, place, strip);
    }
    absorb_strip(state, scores, count * tile, sums, width);
    for (int i = 0; i < count; ++i) {
      pack_square(scores + i * tile, strip, false, weights);
      add_over_positions(weights, packed.values + visit[i].key_tile * packed_size, width, sums);
    }
    visit += count;
  }
  finish_queries(plan, head, state, first, sums, width);
}

void forward(const AttentionTiles& plan, const AttentionHead& head, int32_t first, int32_t last,
             float* memory) {
  Scratch scratch(memory);
  const int64_t width = bf16_width(head.size), packed_size = tile * width;
  Bf16* keys = take_bf16(scratch, plan.key_tiles * packed_size);
  Bf16* values = take_bf16(scratch, plan.key_tiles * packed_size);
  Scratch rest = scratch;
  float* rows = rest.take(packed_size);
  for (int32_t j = 0; j < plan.key_tiles; ++j) {
    gather_rows({head.k, head.stride, head.size}, plan.key_order, j * tile, plan.keys, 1.0f, rows, width);
    pack_over_head<false>(rows, width, keys + j * packed_size);
    gather_rows({head.v, head.stride, head.size}, plan.key_order, j * tile, plan.keys, 1.0f, rows, width);
    pack_over_positions(rows, width, values + j * packed_size);
  }
  begin_bf16();
  for (int32_t i = first; i < last; ++i) forward_query_tile(plan, head, i, {keys, values}, scratch);
  end_bf16();
}

/// The keys and values of a head in tile order, and the sums of their gradients.
struct BackwardKeys {
  Bf16 *keys, *values;  ///< Packed over the head.
  Bf16* key_rows;       ///< Keys packed over the positions.
  float *dk, *dv;       ///< [tiles][tile, width]
};

/// One tile of queries and what of it all key tiles share.
struct BackwardQueries {
  Bf16 *rows, *dy;                  ///< Scaled queries, and dy, packed over the head.
  Bf16 *rows_columns, *dy_columns;  ///< Packed over the positions.
  float* dq;                        ///< [tile, width]
  Bf16* square;
  SoftmaxGradient softmax;
};

int64_t backward_scratch(int32_t key_tiles, int32_t size) {
  const int64_t width = bf16_width(size);
  return key_tiles * tile * width * 7 / 2 + 5 * tile * width + 3 * tile * tile;
}

void backward_tile(const BackwardKeys& keys, BackwardQueries& queries, int64_t width, int32_t key_tile,
                   const uint32_t* mask) {
  const int64_t at = key_tile * tile * width;
  SoftmaxGradient& softmax = queries.softmax;
  multiply_over_head(queries.rows, keys.keys + at, width, softmax.scores, tile);
  multiply_over_head(queries.dy, keys.values + at, width, softmax.slopes, tile);
  backward_softmax(softmax, mask);
  pack_square(softmax.scores, tile, true, queries.square);
  add_over_positions(queries.square, queries.dy_columns, width, keys.dv + at);
  pack_square(softmax.slopes, tile, true, queries.square);
  add_over_positions(queries.square, queries.rows_columns, width, keys.dk + at);
  pack_square(softmax.slopes, tile, false, queries.square);
  add_over_positions(queries.square, keys.key_rows + at, width, queries.dq);
}

void gather_queries(const AttentionTiles& plan, const AttentionHead& head, const float* dy, int32_t first,
                    float* rows, float* dy_rows, int64_t width, BackwardQueries& queries) {
  gather_rows({head.q, head.stride, head.size}, plan.query_order, first, plan.queries, head.scale, rows,
              width);
  pack_over_head<true>(rows, width, queries.rows);
  pack_over_positions(rows, width, queries.rows_columns);
  gather_rows({dy, head.y_stride, head.size}, plan.query_order, first, plan.queries, 1.0f, dy_rows, width);
  pack_over_head<true>(dy_rows, width, queries.dy);
  pack_over_positions(dy_rows, width, queries.dy_columns);
  gather_rows({head.y, head.y_stride, head.size}, plan.query_order, first, plan.queries, 1.0f, rows, width);
  start_gradient(plan, head, first, rows, dy_rows, width, queries.softmax);
  std::memset(queries.dq, 0, tile * width * sizeof(float));
}

void backward(const AttentionTiles& plan, const AttentionHead& head, const AttentionHeadGradients& gradients,
              float* memory) {
  Scratch scratch(memory);
  const int64_t width = bf16_width(head.size), part = tile * width, whole = plan.key_tiles * part;
  const BackwardKeys keys = {take_bf16(scratch, whole), take_bf16(scratch, whole), take_bf16(scratch, whole),
                             scratch.take(whole), scratch.take(whole)};
  float *rows = scratch.take(part), *dy_rows = scratch.take(part);
  std::memset(keys.dk, 0, whole * sizeof(float));
  std::memset(keys.dv, 0, whole * sizeof(float));
  for (int32_t j = 0; j < plan.key_tiles; ++j) {
    gather_rows({head.k, head.stride, head.size}, plan.key_order, j * tile, plan.keys, 1.0f, rows, width);
    pack_over_head<false>(rows, width, keys.keys + j * part);
    pack_over_positions(rows, width, keys.key_rows + j * part);
    gather_rows({head.v, head.stride, head.size}, plan.key_order, j * tile, plan.keys, 1.0f, rows, width);
    pack_over_head<false>(rows, width, keys.values + j * part);
  }
  BackwardQueries queries;
  queries.rows = take_bf16(scratch, part);
  queries.dy = take_bf16(scratch, part);
  queries.rows_columns = take_bf16(scratch, part);
  queries.dy_columns = take_bf16(scratch, part);
  queries.dq = scratch.take(part);
  queries.square = take_bf16(scratch, bf16_pair);
  queries.softmax.scores = scratch.take(tile * tile);
  queries.softmax.slopes = scratch.take(tile * tile);
  begin_bf16();
  for (int32_t first = 0, i = 0; first < plan.queries; first += tile, ++i) {
    gather_queries(plan, head, gradients.dy, first, rows, dy_rows, width, queries);
    for (int32_t at = plan.begin[i]; at < plan.begin[i + 1]; ++at) {
      const AttentionVisit visit = plan.visits[at];
      backward_tile(keys, queries, width, visit.key_tile,
                    visit.mask < 0 ? nullptr : plan.masks + visit.mask * tile);
    }
    scatter_rows(queries.dq, width, plan.query_order, first, plan.queries, head.scale, gradients.dq,
                 head.stride, head.size);
  }
  end_bf16();
  for (int32_t j = 0; j < plan.key_tiles; ++j) {
    scatter_rows(keys.dk + j * part, width, plan.key_order, j * tile, plan.keys, 1.0f, gradients.dk,
                 head.stride, head.size);
    scatter_rows(keys.dv + j * part, width, plan.key_order, j * tile, plan.keys, 1.0f, gradients.dv,
                 head.stride, head.size);
  }
}

constexpr AttentionKernels kernels = {forward_scratch, backward_scratch, forward, backward};

}  // namespace
}  // namespace dalle1::cpu
