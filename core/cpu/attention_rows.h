// What both kinds of tiled attention, of f32 and of bf16 products, share: rows gathered and scattered, the
// online softmax (Milakov and Gimelshein 2018; Dao et al. 2022), its gradient. For the instruction set that
// the including file is compiled for.
#pragma once

#include <cmath>
#include <cstring>

#include "core/cpu/attention_kernels.h"
#include "core/cpu/lanes.h"

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

/// rows [tile, width] = factor * the positions at places [first, first + tile); zeros beyond `count`
/// places.
void gather_rows(const Source& source, const int32_t* order, int32_t first, int32_t count, float factor,
                 float* rows, int64_t width) {
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
    if (d < source.size) {
      store(row + d, load_first(from + d, static_cast<int>(source.size - d)) * f);
      d += lane_count;
    }
    for (; d < width; d += lane_count) store(row + d, zero());
  }
}

void scatter_rows(const float* rows, int64_t width, const int32_t* order, int32_t first, int32_t count,
                  float factor, float* target, int64_t stride, int32_t size) {
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

void start_softmax(OnlineSoftmax& state) {
  for (int r = 0; r < tile; ++r) {
    state.largest[r] = -INFINITY;
    state.total[r] = 0.0f;
  }
}

/// Divides the sums [tile, width] of a tile of queries by their totals and puts them into y.
void finish_queries(const AttentionTiles& plan, const AttentionHead& head, const OnlineSoftmax& state,
                    int32_t first, float* sums, int64_t width) {
  for (int r = 0; r < tile; ++r) {
    const Lanes total = broadcast(state.total[r]);
    for (int64_t d = 0; d < width; d += lane_count)
      store(sums + r * width + d, load(sums + r * width + d) / total);
    if (first + r < plan.queries)
      head.logsumexp[plan.query_order[first + r]] = state.largest[r] + std::log(state.total[r]);
  }
  scatter_rows(sums, width, plan.query_order, first, plan.queries, 1.0f, head.y, head.y_stride, head.size);
}

/// The gradient of the softmax of a tile of queries.
struct SoftmaxGradient {
  float *scores, *slopes;  ///< [tile, tile]
  float logsumexp[tile];
  float delta[tile];  ///< sum over d of y dy, which is sum over keys of weight times slope.
};

/// For the queries of which `y_rows` and `dy_rows` [tile, width] are gathered.
void start_gradient(const AttentionTiles& plan, const AttentionHead& head, int32_t first, const float* y_rows,
                    const float* dy_rows, int64_t width, SoftmaxGradient& gradient) {
  for (int r = 0; r < tile; ++r) {
    Lanes products = zero();
    for (int64_t d = 0; d < width; d += lane_count)
      products = fma(load(y_rows + r * width + d), load(dy_rows + r * width + d), products);
    gradient.delta[r] = sum(products);
    gradient.logsumexp[r] = first + r < plan.queries ? head.logsumexp[plan.query_order[first + r]] : 0.0f;
  }
}

/// weights = exp(scores - logsumexp), slopes = weights * (slopes - delta), hidden places 0.
void backward_softmax(SoftmaxGradient& gradient, const uint32_t* mask) {
  for (int r = 0; r < tile; ++r) {
    const Lanes shift = broadcast(gradient.logsumexp[r]), delta = broadcast(gradient.delta[r]);
    for (int j = 0; j < tile_lanes; ++j) {
      float* score = gradient.scores + r * tile + j * lane_count;
      float* slope = gradient.slopes + r * tile + j * lane_count;
      Lanes weight = exp(load(score) - shift);
      if (mask) weight = select(mask[r] >> (j * lane_count), weight, zero());
      store(score, weight);
      store(slope, weight * (load(slope) - delta));
    }
  }
}

}  // namespace
}  // namespace dalle1::cpu
