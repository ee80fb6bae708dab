// Tiled attention with an online softmax (Milakov and Gimelshein 2018; Dao et al. 2022), one head at a time,
// for the instruction set that the including file is compiled for.
//
// Queries, keys and values are gathered into the plan's order. A tile of queries takes its visible keys in
// strips of a few tiles; nothing larger than a strip of scores exists.
#pragma once

#include <cmath>
#include <cstring>

#include "core/cpu/attention_kernels.h"
#include "core/cpu/small_product.h"

namespace dalle1::cpu {
namespace {

constexpr int tile = attention_tile;
constexpr int tile_lanes = tile / lane_count;
constexpr int strip_tiles = 12;
constexpr int strip = strip_tiles * tile;

/// Hands out consecutive parts of the scratch memory.
class Scratch {
 public:
  explicit Scratch(float* memory) : next_(memory) {}
  float* take(int64_t floats) {
    float* part = next_;
    next_ += padded(floats);
    return part;
  }

 private:
  float* next_;
};

/// A matrix [positions, D] of which rows are gathered.
struct Source {
  const float* data;
  int64_t stride;
  int32_t size;
};

/// Rows lie a whole position (all heads) apart, too far for the processor to guess: asks for the row at
/// `place` ahead of its use.
inline void prefetch_row(const float* data, int64_t stride, int32_t size, const int32_t* order, int32_t place,
                         int32_t count) {
  constexpr int line = 16;
  if (place >= count) return;
  const float* row = data + order[place] * stride;
  for (int32_t d = 0; d < size; d += line) _mm_prefetch(reinterpret_cast<const char*>(row + d), _MM_HINT_T0);
}
constexpr int rows_ahead = 12;

/// rows [tile, padded D] = factor * the positions at places [first, first + tile); zeros beyond `count`
/// places.
void gather_rows(const Source& source, const int32_t* order, int32_t first, int32_t count, float factor,
                 float* rows) {
  const int64_t width = padded(source.size);
  const Lanes f = broadcast(factor);
  for (int r = 0; r < tile; ++r) {
    float* row = rows + r * width;
    if (first + r >= count) {
      std::memset(row, 0, width * sizeof(float));
      continue;
    }
    prefetch_row(source.data, source.stride, source.size, order, first + r + rows_ahead, count);
    const float* from = source.data + order[first + r] * source.stride;
    int64_t d = 0;
    for (; d + lane_count <= source.size; d += lane_count) store(row + d, load(from + d) * f);
    if (d < width) store(row + d, load_first(from + d, static_cast<int>(source.size - d)) * f);
  }
}

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

void scatter_rows(const float* rows, const int32_t* order, int32_t first, int32_t count, float factor,
                  float* target, int64_t stride, int32_t size) {
  const int64_t width = padded(size);
  const Lanes f = broadcast(factor);
  for (int r = 0; r < tile && first + r < count; ++r) {
    prefetch_row(target, stride, size, order, first + r + rows_ahead, count);
    float* to = target + order[first + r] * stride;
    int64_t d = 0;
    for (; d + lane_count <= size; d += lane_count) store(to + d, load(rows + r * width + d) * f);
    if (d < size) store_first(to + d, load(rows + r * width + d) * f, static_cast<int>(size - d));
  }
}

/// Running softmax of one tile of queries.
struct OnlineSoftmax {
  float largest[tile];  ///< Largest score so far.
  float total[tile];    ///< Sum of exponentials relative to it.
};

/// Hides what a query does not see.
void apply_mask(const uint32_t* mask, float* scores, int64_t stride) {
  const Lanes hidden = broadcast(-INFINITY);
  for (int r = 0; r < tile; ++r)
    for (int j = 0; j < tile_lanes; ++j) {
      float* place = scores + r * stride + j * lane_count;
      store(place, select(mask[r] >> (j * lane_count), load(place), hidden));
    }
}

/// Turns a strip of scores into weights relative to the new largest score, and rescales what came before.
void absorb_strip(OnlineSoftmax& state, float* scores, int width, float* sums, int64_t sums_width) {
  for (int r = 0; r < tile; ++r) {
    float* row = scores + r * strip;
    Lanes top = load(row);
    for (int c = lane_count; c < width; c += lane_count) top = max(top, load(row + c));
    const float before = state.largest[r];
    const float strip_largest = largest(top);
    const float now = strip_largest > before ? strip_largest : before;
    const float base = now == -INFINITY ? 0.0f : now;  // nothing seen yet
    const Lanes shift = broadcast(base);
    Lanes added = zero();
    for (int c = 0; c < width; c += lane_count) {
      const Lanes weight = exp(load(row + c) - shift);
      store(row + c, weight);
      added = added + weight;
    }
    if (now != before && before != -INFINITY) {
      const Lanes factor = exp(broadcast(before - base));
      float first[lane_count];
      store(first, factor);
      state.total[r] *= first[0];
      for (int64_t d = 0; d < sums_width; d += lane_count)
        store(sums + r * sums_width + d, load(sums + r * sums_width + d) * factor);
    }
    state.largest[r] = now;
    state.total[r] += sum(added);
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
  gather_rows({head.q, head.stride, head.size}, plan.query_order, first, plan.queries, head.scale, queries);
  std::memset(sums, 0, tile * width * sizeof(float));
  OnlineSoftmax state;
  for (int r = 0; r < tile; ++r) {
    state.largest[r] = -INFINITY;
    state.total[r] = 0.0f;
  }
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
  for (int r = 0; r < tile; ++r) {
    const Lanes total = broadcast(state.total[r]);
    for (int64_t d = 0; d < width; d += lane_count)
      store(sums + r * width + d, load(sums + r * width + d) / total);
    if (first + r < plan.queries)
      head.logsumexp[plan.query_order[first + r]] = state.largest[r] + std::log(state.total[r]);
  }
  scatter_rows(sums, plan.query_order, first, plan.queries, 1.0f, head.y, head.stride, head.size);
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
                values + j * tile * width);
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
  float *rows, *dy, *dq;   ///< [tile, padded D]; rows are scaled
  float *scores, *slopes;  ///< [tile, tile]
  float logsumexp[tile];
  float delta[tile];  ///< sum over d of y dy, which is sum over keys of weight times slope.
};

int64_t backward_scratch(int32_t key_tiles, int32_t size) {
  const int64_t width = padded(size);
  return key_tiles * tile * 5 * width + 4 * tile * width + 2 * tile * tile;
}

/// weights = exp(scores - logsumexp), slopes = weights * (slopes - delta), hidden places 0.
void backward_softmax(BackwardQueries& queries, const uint32_t* mask) {
  for (int r = 0; r < tile; ++r) {
    const Lanes shift = broadcast(queries.logsumexp[r]), delta = broadcast(queries.delta[r]);
    for (int j = 0; j < tile_lanes; ++j) {
      float* score = queries.scores + r * tile + j * lane_count;
      float* slope = queries.slopes + r * tile + j * lane_count;
      Lanes weight = exp(load(score) - shift);
      if (mask) weight = select(mask[r] >> (j * lane_count), weight, zero());
      store(score, weight);
      store(slope, weight * (load(slope) - delta));
    }
  }
}

void backward_tile(const AttentionHead& head, const BackwardKeys& keys, BackwardQueries& queries,
                   int32_t key_tile, const uint32_t* mask) {
  const int64_t width = padded(head.size), size = head.size;
  const int64_t rows = key_tile * tile * width, columns = key_tile * tile * size;
  multiply_small<false>({queries.rows, width, 1, keys.columns + columns, tile, queries.scores, tile, size},
                        tile, tile);
  multiply_small<false>(
      {queries.dy, width, 1, keys.value_columns + columns, tile, queries.slopes, tile, size}, tile, tile);
  backward_softmax(queries, mask);
  multiply_small<true>({queries.scores, 1, tile, queries.dy, width, keys.dv + rows, width, tile}, tile,
                       width);
  multiply_small<true>({queries.slopes, 1, tile, queries.rows, width, keys.dk + rows, width, tile}, tile,
                       width);
  multiply_small<true>({queries.slopes, tile, 1, keys.rows + rows, width, queries.dq, width, tile}, tile,
                       width);
}

void gather_queries(const AttentionTiles& plan, const AttentionHead& head, const float* dy, int32_t first,
                    float* y_rows, BackwardQueries& queries) {
  const int64_t width = padded(head.size);
  gather_rows({head.q, head.stride, head.size}, plan.query_order, first, plan.queries, head.scale,
              queries.rows);
  gather_rows({dy, head.stride, head.size}, plan.query_order, first, plan.queries, 1.0f, queries.dy);
  gather_rows({head.y, head.stride, head.size}, plan.query_order, first, plan.queries, 1.0f, y_rows);
  std::memset(queries.dq, 0, tile * width * sizeof(float));
  for (int r = 0; r < tile; ++r) {
    Lanes products = zero();
    for (int64_t d = 0; d < width; d += lane_count)
      products = fma(load(y_rows + r * width + d), load(queries.dy + r * width + d), products);
    queries.delta[r] = sum(products);
    queries.logsumexp[r] = first + r < plan.queries ? head.logsumexp[plan.query_order[first + r]] : 0.0f;
  }
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
    gather_rows(k, plan.key_order, j * tile, plan.keys, 1.0f, keys.rows + j * tile * width);
    gather_columns(k, plan.key_order, j * tile, plan.keys, keys.columns + j * tile * size);
    gather_columns(v, plan.key_order, j * tile, plan.keys, keys.value_columns + j * tile * size);
  }
  BackwardQueries queries;
  queries.rows = scratch.take(tile * width);
  queries.dy = scratch.take(tile * width);
  queries.dq = scratch.take(tile * width);
  float* y_rows = scratch.take(tile * width);
  queries.scores = scratch.take(tile * tile);
  queries.slopes = scratch.take(tile * tile);
  for (int32_t first = 0, i = 0; first < plan.queries; first += tile, ++i) {
    gather_queries(plan, head, gradients.dy, first, y_rows, queries);
    for (int32_t at = plan.begin[i]; at < plan.begin[i + 1]; ++at) {
      const AttentionVisit visit = plan.visits[at];
      backward_tile(head, keys, queries, visit.key_tile,
                    visit.mask < 0 ? nullptr : plan.masks + visit.mask * tile);
    }
    scatter_rows(queries.dq, plan.query_order, first, plan.queries, head.scale, gradients.dq, head.stride,
                 head.size);
  }
  for (int32_t j = 0; j < plan.key_tiles; ++j) {
    const int64_t at = j * tile * width;
    scatter_rows(keys.dk + at, plan.key_order, j * tile, plan.keys, 1.0f, gradients.dk, head.stride,
                 head.size);
    scatter_rows(keys.dv + at, plan.key_order, j * tile, plan.keys, 1.0f, gradients.dv, head.stride,
                 head.size);
  }
}

constexpr AttentionKernels kernels = {forward_scratch, backward_scratch, forward, backward};

}  // namespace
}  // namespace dalle1::cpu
