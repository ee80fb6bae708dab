// One decoding step of attention for a block of candidates, for the instruction set that the including file
// is compiled for.
//
// Scores lie as [candidate][key], and the keys of the prefix in panels, [panel][d][16 keys], so that lanes
// are keys, full however few candidates there are. What is loaded of the prefix serves all candidates of the
// block; each score of a prefix key is one chain over d, each output one chain over the keys in order of
// position, whatever the neighbours are.
#pragma once

#include <algorithm>
#include <cmath>

#include "core/cpu/cached_attention_kernels.h"
#include "core/cpu/small_product.h"

namespace dalle1::cpu {
namespace {

struct CachedScratch {
  float* queries;  ///< [count, padded D], scaled
  float* sums;     ///< [count, padded D]
  float* scores;   ///< [count, row]
  int64_t row;     ///< Visible keys in whole lanes, and one more for what parts of panels spill.
};

int64_t score_row(int64_t visible) { return padded(visible) + lane_count; }

int64_t cached_scratch(int32_t visible, int32_t size) {
  return candidate_block * (2 * padded(size) + score_row(visible)) + lane_count;
}

CachedScratch divide_scratch(const CachedAttentionBlock& block, float* memory) {
  const int64_t rows = candidate_block * padded(block.size);
  CachedScratch s;
  s.queries = memory;
  s.sums = s.queries + rows;
  s.scores = s.sums + rows + lane_count;
  s.row = score_row(int64_t{block.prefix_rows} + block.slot_count);
  return s;
}

void load_queries(const CachedAttentionBlock& block, const CachedScratch& s) {
  const int64_t row = padded(block.size);
  for (int64_t n = 0; n < block.count; ++n)
    for (int64_t d = 0; d < block.size; ++d)
      s.queries[n * row + d] = block.q[n * block.q_stride + d] * block.scale;
  for (int64_t i = 0; i < block.count * row; ++i) s.sums[i] = 0.0f;
}

template <int R, bool accumulate>
void multiply_rows_of(const SmallProduct& p, int64_t row, int64_t columns) {
  constexpr int C = few_rows_columns;
  int64_t column = 0;
  for (; column + C * lane_count <= columns; column += C * lane_count)
    product_registers<R, C, accumulate>(p, row, column);
  for (; column < columns; column += lane_count) product_registers<R, 1, accumulate>(p, row, column);
}

/// c (+)= a b for any number of rows; `columns` a multiple of 16.
template <bool accumulate>
void multiply_any(const SmallProduct& p, int64_t rows, int64_t columns) {
  int64_t row = rows / 8 * 8;
  multiply_small<accumulate>(p, row, columns);
  for (; row + 2 <= rows; row += 2) multiply_rows_of<2, accumulate>(p, row, columns);
  if (row < rows) multiply_rows_of<1, accumulate>(p, row, columns);
}

/// Scores of a range's keys from the start of its first panel on: `before` keys too many.
void score_panels(const CachedAttentionBlock& block, const CachedScratch& s, const PrefixRange& range,
                  int64_t before, float* scores) {
  const int64_t first = range.begin - before;
  SmallProduct product{s.queries,  padded(block.size), 1,     block.prefix_keys + first * block.size,
                       lane_count, scores - before,    s.row, block.size};
  product.b_panel = lane_count * block.size;
  multiply_any<false>(product, block.count, padded(range.end) - first);
}

void score_prefix(const CachedAttentionBlock& block, const CachedScratch& s) {
  float* scores = s.scores;
  float kept[candidate_block][lane_count];  // the scores that those too many overwrite
  for (int32_t i = 0; i < block.prefix_ranges; ++i) {
    const PrefixRange& range = block.prefix[i];
    const int64_t before = range.begin % lane_count;
    for (int64_t n = 0; n < block.count; ++n) std::copy_n(scores + n * s.row - before, before, kept[n]);
    score_panels(block, s, range, before, scores);
    for (int64_t n = 0; n < block.count; ++n) std::copy_n(kept[n], before, scores + n * s.row - before);
    scores += range.end - range.begin;
  }
}

/// The next candidate's row is on its way while this one is used.
inline void prefetch(const void* place) { _mm_prefetch(static_cast<const char*>(place), _MM_HINT_T0); }

/// Sixteen partial sums over d, then the tree of sum().
template <typename Stored>
inline float dot(const float* a, const Stored* b, int64_t size, int64_t next) {
  Lanes products = zero();
  int64_t d = 0;
  for (; d + lane_count <= size; d += lane_count) {
    prefetch(b + d + next);
    products = fma(load(a + d), load(b + d), products);
  }
  if (d < size) {
    const int rest = static_cast<int>(size - d);
    products = fma(load_first(a + d, rest), load_first(b + d, rest), products);
  }
  return sum(products);
}

template <typename Stored>
void score_private(const CachedAttentionBlock& block, const CachedScratch& s) {
  for (int64_t n = 0; n < block.count; ++n) {
    const float* query = s.queries + n * padded(block.size);
    const Stored* keys = static_cast<const Stored*>(block.keys) + n * block.store_stride;
    float* scores = s.scores + n * s.row + block.prefix_rows;
    for (int64_t j = 0; j < block.slot_count; ++j)
      scores[j] = dot(query, keys + int64_t{block.slots[j]} * block.size, block.size, block.store_stride);
  }
}

/// Scores of one candidate become weights that are not divided by their sum.
void exponentials(float* scores, int64_t visible) {
  const int64_t end = padded(visible);
  for (int64_t i = visible; i < end; ++i) scores[i] = -INFINITY;
  Lanes tops = load(scores);
  for (int64_t i = lane_count; i < end; i += lane_count) tops = max(tops, load(scores + i));
  const Lanes top = broadcast(largest(tops));
  for (int64_t i = 0; i < end; i += lane_count) store(scores + i, exp(load(scores + i) - top));
}

/// totals[n] = the weights of candidates `first` to `first` + N, each summed in order of position.
template <int N>
void sum_weights(const CachedScratch& s, int64_t first, int64_t visible, float* totals) {
  const float* weights = s.scores + first * s.row;
  float sums[N] = {};
  for (int64_t i = 0; i < visible; ++i)
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) sums[n] += weights[n * s.row + i];
  for (int n = 0; n < N; ++n) totals[first + n] = sums[n];
}

/// Scores become weights; writes each candidate's total to `totals` [count].
void softmax_rows(const CachedScratch& s, int64_t count, int64_t visible, float* totals) {
  for (int64_t n = 0; n < count; ++n) exponentials(s.scores + n * s.row, visible);
  int64_t n = 0;
  for (; n + 8 <= count; n += 8) sum_weights<8>(s, n, visible, totals);
  for (; n < count; ++n) sum_weights<1>(s, n, visible, totals);
}

/// sums[n, column ..] += weights of candidate n times values, for the columns of a partly filled lane.
void add_tail(const SmallProduct& p, int64_t rows, int64_t column, int count) {
  for (int64_t row = 0; row < rows; ++row) {
    Lanes sums = load(p.c + row * p.c_stride + column);
    for (int64_t k = 0; k < p.depth; ++k)
      sums = fma(broadcast(p.a[row * p.a_row + k * p.a_depth]),
                 load_first(p.b + k * p.b_stride + column, count), sums);
    store(p.c + row * p.c_stride + column, sums);
  }
}

void add_prefix_values(const CachedAttentionBlock& block, const CachedScratch& s) {
  const int64_t whole = block.size / lane_count * lane_count;
  const float* values = block.prefix_values;
  const float* weights = s.scores;
  for (int32_t i = 0; i < block.prefix_ranges; ++i) {
    const PrefixRange range = block.prefix[i];
    const int64_t rows = range.end - range.begin;
    const SmallProduct product = {
        weights, s.row, 1, values + int64_t{range.begin} * block.size, block.size, s.sums, padded(block.size),
        rows};
    multiply_any<true>(product, block.count, whole);
    if (whole < block.size) add_tail(product, block.count, whole, static_cast<int>(block.size - whole));
    weights += rows;
  }
}

/// sums[0 .. C * 16) += the visible values of one candidate from column d on; `last` lanes of the last
/// register.
template <int C, typename Stored>
void add_columns(const CachedAttentionBlock& block, const float* weights, const Stored* values, int64_t d,
                 int last, float* sums) {
  Lanes totals[C];
#pragma GCC unroll 8
  for (int i = 0; i < C; ++i) totals[i] = load(sums + d + i * lane_count);
  for (int64_t j = 0; j < block.slot_count; ++j) {
    const Stored* value = values + int64_t{block.slots[j]} * block.size + d;
    const Lanes weight = broadcast(weights[j]);
#pragma GCC unroll 8
    for (int i = 0; i < C; ++i) {
      const Stored* part = value + i * lane_count;
      prefetch(part + block.store_stride);
      const Lanes loaded = i + 1 < C || last == lane_count ? load(part) : load_first(part, last);
      totals[i] = fma(weight, loaded, totals[i]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < C; ++i) store(sums + d + i * lane_count, totals[i]);
}

template <typename Stored>
void add_private_values(const CachedAttentionBlock& block, const CachedScratch& s) {
  constexpr int64_t step = 4 * lane_count;
  for (int64_t n = 0; n < block.count; ++n) {
    const float* weights = s.scores + n * s.row + block.prefix_rows;
    const Stored* values = static_cast<const Stored*>(block.values) + n * block.store_stride;
    float* sums = s.sums + n * padded(block.size);
    int64_t d = 0;
    for (; d + step <= block.size; d += step) add_columns<4>(block, weights, values, d, lane_count, sums);
    for (; d < block.size; d += lane_count) {
      const int64_t room = block.size - d;
      add_columns<1>(block, weights, values, d, room < lane_count ? static_cast<int>(room) : lane_count,
                     sums);
    }
  }
}

void write_outputs(const CachedAttentionBlock& block, const CachedScratch& s, const float* totals) {
  for (int64_t n = 0; n < block.count; ++n) {
    const Lanes total = broadcast(totals[n]);
    const float* sums = s.sums + n * padded(block.size);
    float* y = block.y + n * block.y_stride;
    int64_t d = 0;
    for (; d + lane_count <= block.size; d += lane_count) store(y + d, load(sums + d) / total);
    if (d < block.size) store_first(y + d, load(sums + d) / total, static_cast<int>(block.size - d));
  }
}

template <typename Stored>
void run_stored(const CachedAttentionBlock& block, float* memory) {
  const CachedScratch s = divide_scratch(block, memory);
  float totals[candidate_block];
  load_queries(block, s);
  score_prefix(block, s);
  score_private<Stored>(block, s);
  softmax_rows(s, block.count, int64_t{block.prefix_rows} + block.slot_count, totals);
  add_prefix_values(block, s);
  add_private_values<Stored>(block, s);
  write_outputs(block, s, totals);
}

void run_cached(const CachedAttentionBlock& block, float* memory) {
  block.bf16 ? run_stored<Bf16>(block, memory) : run_stored<float>(block, memory);
}

void round_row(const float* row, int64_t size, Bf16* to) {
  int64_t d = 0;
  for (; d + lane_count <= size; d += lane_count) store(to + d, load(row + d));
  if (d < size)
    store_first(to + d, load_first(row + d, static_cast<int>(size - d)), static_cast<int>(size - d));
}

constexpr CachedAttentionKernels cached_kernels = {cached_scratch, run_cached, round_row};

}  // namespace
}  // namespace dalle1::cpu
