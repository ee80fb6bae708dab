// Tiled attention with an online softmax (Milakov and Gimelshein 2018; Dao et al. 2022), one head at a time,
// for the instruction set that the including file is compiled for.
//
// Queries, keys and values are gathered into the plan's order. A tile of queries takes its visible keys in
// strips of a few tiles; nothing larger than a strip of scores exists.
#pragma once

#include <cstring>

#include "core/cpu/attention_rows.h"
#include "core/cpu/small_product.h"

namespace dalle1::cpu {
namespace {

/// columns [D, tile]: the same places transposed.
void gather_columns(const Source& source, const int32_t* order, int32_t first, int32_t count,
                    float* columns) {
  for (int r = 0; r < tile; ++r) {
    if (first + r >= count) {
      for (int64_t d = 0; d < source.size; ++d) columns[d * tile + r] = 0.0f;
      continue;
    }
    prefetch_row(source.data, source.stride, source.size, order, first + r + rows_ahead, count);
    const float* from = source.data + order[first + r] * source.stride;
    for (int64_t d = 0; d < source.size; ++d) columns[d * tile + r] = from[d];
  }
}

int64_t forward_scratch(int32_t key_tiles, int32_t size) {
  const int64_t width = padded(size);
  return key_tiles * tile * 2 * width + 2 * tile * width + tile * strip;
}

void forward_query_tile(const AttentionTiles& plan, const AttentionHead& head, int32_t query_tile,
                        const float* keys, const float* values, Scratch scratch) {
  const int64_t width = padded(head.size);
  float* queries = scratch.take(tile * width);
  float* sums = scratch.take(tile * width);
  float* scores = scratch.take(tile * strip);
  const int32_t first = query_tile * tile;
  gather_rows({head.q, head.stride, head.size}, plan.query_order, first, plan.queries, head.scale, queries,
              width);
  std::memset(sums, 0, tile * width * sizeof(float));
  OnlineSoftmax state;
  start_softmax(state);
  const AttentionVisit* visit = plan.visits + plan.begin[query_tile];
  const AttentionVisit* end = plan.visits + plan.begin[query_tile + 1];
  while (visit < end) {
    const int count = static_cast<int>(end - visit < strip_tiles ? end - visit : strip_tiles);
    for (int i = 0; i < count; ++i) {
      const float* key_tile = keys + visit[i].key_tile * head.size * int64_t{tile};
      float* place = scores + i * tile;
      multiply_small<false>({queries, width, 1, key_tile, tile, place, strip, head.size}, tile, tile);
      if (visit[i].mask >= 0) apply_mask(plan.masks + visit[i].mask * tile, place, strip);
    }
    absorb_strip(state, scores, count * tile, sums, width);
    for (int i = 0; i < count; ++i) {
      const float* value_tile = values + visit[i].key_tile * width * tile;
      multiply_small<true>({scores + i * tile, strip, 1, value_tile, width, sums, width, tile}, tile, width);
    }
    visit += count;
  }
  finish_queries(plan, head, state, first, sums, width);
}

void forward(const AttentionTiles& plan, const AttentionHead& head, int32_t first, int32_t last,
             float* memory) {
  Scratch scratch(memory);
  const int64_t width = padded(head.size);
  float* keys = scratch.take(plan.key_tiles * tile * int64_t{head.size});
  float* values = scratch.take(plan.key_tiles * tile * width);
  for (int32_t j = 0; j < plan.key_tiles; ++j) {
    gather_columns({head.k, head.stride, head.size}, plan.key_order, j * tile, plan.keys,
                   keys + j * tile * int64_t{head.size});
    gather_rows({head.v, head.stride, head.size}, plan.key_order, j * tile, plan.keys, 1.0f,
                values + j * tile * width, width);
  }
  for (int32_t i = first; i < last; ++i) forward_query_tile(plan, head, i, keys, values, scratch);
}

/// The keys and values of a head in tile order, and the sums of their gradients.
struct BackwardKeys {
  float *rows, *columns, *value_columns;  ///< [tiles][tile, padded D], [tiles][D, tile] twice
  float *dk, *dv;                         ///< [tiles][tile, padded D]
};

/// One tile of queries and what of it all key tiles share.
struct BackwardQueries {
  float *rows, *dy, *dq;  ///< [tile, padded D]; rows are scaled
  SoftmaxGradient softmax;
};

int64_t backward_scratch(int32_t key_tiles, int32_t size) {
  const int64_t width = padded(size);
  return key_tiles * tile * 5 * width + 4 * tile * width + 2 * tile * tile;
}

void backward_tile(const AttentionHead& head, const BackwardKeys& keys, BackwardQueries& queries,
                   int32_t key_tile, const uint32_t* mask) {
  const int64_t width = padded(head.size), size = head.size;
  const int64_t rows = key_tile * tile * width, columns = key_tile * tile * size;
  multiply_small<false>(
      {queries.rows, width, 1, keys.columns + columns, tile, queries.softmax.scores, tile, size}, tile, tile);
  multiply_small<false>(
      {queries.dy, width, 1, keys.value_columns + columns, tile, queries.softmax.slopes, tile, size}, tile,
      tile);
  backward_softmax(queries.softmax, mask);
  multiply_small<true>({queries.softmax.scores, 1, tile, queries.dy, width, keys.dv + rows, width, tile},
                       tile, width);
  multiply_small<true>({queries.softmax.slopes, 1, tile, queries.rows, width, keys.dk + rows, width, tile},
                       tile, width);
  multiply_small<true>({queries.softmax.slopes, tile, 1, keys.rows + rows, width, queries.dq, width, tile},
                       tile, width);
}

void gather_queries(const AttentionTiles& plan, const AttentionHead& head, const float* dy, int32_t first,
                    float* y_rows, BackwardQueries& queries) {
  const int64_t width = padded(head.size);
  gather_rows({head.q, head.stride, head.size}, plan.query_order, first, plan.queries, head.scale,
              queries.rows, width);
  gather_rows({dy, head.y_stride, head.size}, plan.query_order, first, plan.queries, 1.0f, queries.dy, width);
  gather_rows({head.y, head.y_stride, head.size}, plan.query_order, first, plan.queries, 1.0f, y_rows, width);
  std::memset(queries.dq, 0, tile * width * sizeof(float));
  start_gradient(plan, head, first, y_rows, queries.dy, width, queries.softmax);
}

void backward(const AttentionTiles& plan, const AttentionHead& head, const AttentionHeadGradients& gradients,
              float* memory) {
  Scratch scratch(memory);
  const int64_t width = padded(head.size), size = head.size;
  const int64_t rows = plan.key_tiles * tile * width, columns = plan.key_tiles * tile * size;
  const BackwardKeys keys = {scratch.take(rows), scratch.take(columns), scratch.take(columns),
                             scratch.take(rows), scratch.take(rows)};
  std::memset(keys.dk, 0, rows * sizeof(float));
  std::memset(keys.dv, 0, rows * sizeof(float));
  for (int32_t j = 0; j < plan.key_tiles; ++j) {
    const Source k = {head.k, head.stride, head.size}, v = {head.v, head.stride, head.size};
    gather_rows(k, plan.key_order, j * tile, plan.keys, 1.0f, keys.rows + j * tile * width, width);
    gather_columns(k, plan.key_order, j * tile, plan.keys, keys.columns + j * tile * size);
    gather_columns(v, plan.key_order, j * tile, plan.keys, keys.value_columns + j * tile * size);
  }
  BackwardQueries queries;
  queries.rows = scratch.take(tile * width);
  queries.dy = scratch.take(tile * width);
  queries.dq = scratch.take(tile * width);
  float* y_rows = scratch.take(tile * width);
  queries.softmax.scores = scratch.take(tile * tile);
  queries.softmax.slopes = scratch.take(tile * tile);
  for (int32_t first = 0, i = 0; first < plan.queries; first += tile, ++i) {
    gather_queries(plan, head, gradients.dy, first, y_rows, queries);
    for (int32_t at = plan.begin[i]; at < plan.begin[i + 1]; ++at) {
      const AttentionVisit visit = plan.visits[at];
      backward_tile(head, keys, queries, visit.key_tile,
                    visit.mask < 0 ? nullptr : plan.masks + visit.mask * tile);
    }
    scatter_rows(queries.dq, width, plan.query_order, first, plan.queries, head.scale, gradients.dq,
                 head.stride, head.size);
  }
  for (int32_t j = 0; j < plan.key_tiles; ++j) {
    const int64_t at = j * tile * width;
    scatter_rows(keys.dk + at, width, plan.key_order, j * tile, plan.keys, 1.0f, gradients.dk, head.stride,
                 head.size);
    scatter_rows(keys.dv + at, width, plan.key_order, j * tile, plan.keys, 1.0f, gradients.dv, head.stride,
                 head.size);
  }
}

constexpr AttentionKernels kernels = {forward_scratch, backward_scratch, forward, backward};

}  // namespace
}  // namespace dalle1::cpu
