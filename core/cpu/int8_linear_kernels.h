// The eight-bit product's register blocks, for the instruction set that the including file is compiled for.
// The including file sets DALLE1_INT8_FOURS to 1 for vpdpbusd, to 0 for vpmaddwd; a stand-in for wider
// registers sets DALLE1_INT8_PANEL_LANES.
#pragma once

#include "core/cpu/int8_linear.h"
#include "core/cpu/lanes.h"
#include "core/cpu/register_blocks.h"

namespace dalle1::cpu {
namespace {

#if defined(__AVX512F__)

constexpr int int8_panel_lanes = 2, int8_most_rows = 12;  // 24 of 32 registers hold sums

/// Sixteen sums, as many as there are Lanes.
struct Sums {
  __m512i v;
};
using Quads = Sums;  // sixteen columns of a step of weights

inline Sums load_sums(const int32_t* p) { return {_mm512_loadu_si512(p)}; }
inline Lanes as_floats(Sums a) { return {_mm512_cvtepi32_ps(a.v)}; }

#if DALLE1_INT8_FOURS
inline Quads load_weights(const int8_t* p) { return {_mm512_loadu_si512(p)}; }
inline Sums multiply_add(Sums sums, int32_t x, Quads w) {
  return {_mm512_dpbusd_epi32(sums.v, _mm512_set1_epi32(x), w.v)};
}
#else
inline Quads load_weights(const int8_t* p) {
  return {_mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
inline Sums multiply_add(Sums sums, int32_t x, Quads w) {
  return {_mm512_add_epi32(sums.v, _mm512_madd_epi16(_mm512_set1_epi32(x), w.v))};
}
#endif

#else

#ifndef DALLE1_INT8_PANEL_LANES
#define DALLE1_INT8_PANEL_LANES 1
#endif
constexpr int int8_panel_lanes = DALLE1_INT8_PANEL_LANES, int8_most_rows = 6;  // 12 of 16

struct Sums {
  __m256i low, high;
};
using Quads = Sums;

inline __m256i load_half(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
inline Sums load_sums(const int32_t* p) { return {load_half(p), load_half(p + 8)}; }
inline Lanes as_floats(Sums a) { return {_mm256_cvtepi32_ps(a.low), _mm256_cvtepi32_ps(a.high)}; }

#if DALLE1_INT8_FOURS
inline Quads load_weights(const int8_t* p) { return {load_half(p), load_half(p + 32)}; }
inline Sums multiply_add(Sums sums, int32_t x, Quads w) {
  const __m256i four = _mm256_set1_epi32(x);
  return {DALLE1_DPBUSD(sums.low, four, w.low), DALLE1_DPBUSD(sums.high, four, w.high)};
}
#else
inline Quads load_weights(const int8_t* p) {
  const auto* halves = reinterpret_cast<const __m128i*>(p);
  return {_mm256_cvtepi8_epi16(_mm_loadu_si128(halves)), _mm256_cvtepi8_epi16(_mm_loadu_si128(halves + 1))};
}
inline Sums multiply_add(Sums sums, int32_t x, Quads w) {
  const __m256i pair = _mm256_set1_epi32(x);
  return {_mm256_add_epi32(sums.low, _mm256_madd_epi16(pair, w.low)),
          _mm256_add_epi32(sums.high, _mm256_madd_epi16(pair, w.high))};
}
#endif

#endif

constexpr int int8_step = DALLE1_INT8_FOURS ? 4 : 2;
constexpr int int8_width = int8_panel_lanes * lane_count;
constexpr int int8_prefetch = 4096;  // bytes ahead in each panel

/// Writes sixteen outputs; `room` columns of the output are left from here.
inline void finish(Sums sums, float x_scale, const float* scale, const float* bias, float* y, int64_t room) {
  if (room <= 0) return;
  const Lanes scaled = as_floats(sums) * broadcast(x_scale);
  if (room >= lane_count) {
    const Lanes product = scaled * load(scale);
    store(y, bias ? product + load(bias) : product);
  } else {
    const int count = static_cast<int>(room);
    const Lanes product = scaled * load_first(scale, count);
    store_first(y, bias ? product + load_first(bias, count) : product, count);
  }
}

/// R rows times P panels, from row `row` and panel `panel` of the block.
template <int R, int P>
void multiply_int8_registers(const Int8LinearBlock& block, int64_t row, int64_t panel) {
  constexpr int width = P * int8_panel_lanes;
  const int64_t steps = block.steps, panel_size = steps * int8_width * int8_step;
  const char* x = block.x + row * steps * 4;
  const int8_t* w = block.panels + panel * panel_size;
  const int64_t first = panel * int8_width;
  Sums sums[R][width];
#pragma GCC unroll 32
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 32
    for (int c = 0; c < width; ++c) sums[r][c] = load_sums(block.offsets + first + c * lane_count);
  for (int64_t step = 0; step < steps; ++step) {
    Quads column[width];
#pragma GCC unroll 32
    for (int c = 0; c < width; ++c) {
      const int8_t* place = w + (c / int8_panel_lanes) * panel_size +
                            (step * int8_width + (c % int8_panel_lanes) * lane_count) * int8_step;
      column[c] = load_weights(place);
      _mm_prefetch(reinterpret_cast<const char*>(place + int8_prefetch), _MM_HINT_T0);
    }
#pragma GCC unroll 32
    for (int r = 0; r < R; ++r) {
      int32_t value;
      __builtin_memcpy(&value, x + (r * steps + step) * 4, 4);
#pragma GCC unroll 32
      for (int c = 0; c < width; ++c) sums[r][c] = multiply_add(sums[r][c], value, column[c]);
    }
  }
#pragma GCC unroll 32
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 32
    for (int c = 0; c < width; ++c) {
      const int64_t at = first + c * lane_count;
      finish(sums[r][c], block.x_scale[row + r], block.scale + at, block.bias ? block.bias + at : nullptr,
             block.y + (row + r) * block.y_stride + at, block.columns - at);
    }
}

struct Int8Product {
  static constexpr int most_rows = int8_most_rows;
  template <int R, int P>
  static void registers(const Int8LinearBlock& block, int64_t row, int64_t panel) {
    multiply_int8_registers<R, P>(block, row, panel);
  }
};

constexpr Int8LinearKernels int8_kernels = {
    int8_width, int8_most_rows, DALLE1_INT8_FOURS ? Int8Activations::fours : Int8Activations::pairs,
    multiply_block<Int8Product, Int8LinearBlock>};

}  // namespace
}  // namespace dalle1::cpu
