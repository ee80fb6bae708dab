// Sixteen floats, the unit of every vector kernel on the CPU: one AVX-512 register, or two of AVX2. Both do
// the same operations on the same lanes, so a kernel written on Lanes gives the same bits on both.
//
// Only for files that are compiled for one instruction set. Everything has internal linkage: an inline
// function with external linkage, compiled with AVX-512, could be the copy that the linker keeps for all.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "core/tensor/dtype.h"

namespace dalle1::cpu {
namespace {

constexpr int lane_count = 16;

/// `size` floats as whole Lanes.
constexpr int64_t padded(int64_t size) { return (size + lane_count - 1) / lane_count * lane_count; }

#if defined(__AVX512F__)

struct Lanes {
  __m512 v;
};

/// `a` as it is, from registers: else GCC reads memory again for each operation that uses it.
inline Lanes held(Lanes a) {
  asm("" : "+v"(a.v));
  return a;
}
inline Lanes zero() { return {_mm512_setzero_ps()}; }
inline Lanes broadcast(float x) { return {_mm512_set1_ps(x)}; }
inline Lanes load(const float* p) { return {_mm512_loadu_ps(p)}; }
inline void store(float* p, Lanes a) { _mm512_storeu_ps(p, a.v); }
/// The first `count` lanes; the others are 0 and not touched in memory.
inline Lanes load_first(const float* p, int count) {
  return {_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), p)};
}
inline void store_first(float* p, Lanes a, int count) {
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << count) - 1), a.v);
}
inline Lanes operator+(Lanes a, Lanes b) { return {_mm512_add_ps(a.v, b.v)}; }
inline Lanes operator-(Lanes a, Lanes b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline Lanes operator*(Lanes a, Lanes b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline Lanes operator/(Lanes a, Lanes b) { return {_mm512_div_ps(a.v, b.v)}; }
inline Lanes max(Lanes a, Lanes b) { return {_mm512_max_ps(a.v, b.v)}; }
/// a * b + c with one rounding.
inline Lanes fma(Lanes a, Lanes b, Lanes c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
/// Lane i of `a` where bit i is set, else of `b`.
inline Lanes select(uint32_t bits, Lanes a, Lanes b) {
  return {_mm512_mask_blend_ps(static_cast<__mmask16>(bits), b.v, a.v)};
}
inline Lanes round(Lanes a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
/// a * 2^n for whole n with a normal result.
inline Lanes scale_by_power(Lanes a, Lanes n) {
  return {_mm512_castsi512_ps(
      _mm512_add_epi32(_mm512_castps_si512(a.v), _mm512_slli_epi32(_mm512_cvtps_epi32(n.v), 23)))};
}
/// `a` where x >= limit, else 0.
inline Lanes keep_where_at_least(Lanes a, Lanes x, Lanes limit) {
  return {_mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x.v, limit.v, _CMP_GE_OQ), a.v)};
}
/// Widened exactly.
inline Lanes load(const Bf16* p) {
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16))};
}
/// Rounded to nearest even, NaN stays NaN: f32_to_bf16() of each.
inline void store(Bf16* p, Lanes a) {
  const __m512i bits = _mm512_castps_si512(a.v), high = _mm512_srli_epi32(bits, 16);
  const __m512i odd = _mm512_and_si512(high, _mm512_set1_epi32(1));
  const __m512i up = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  const __m512i nan = _mm512_or_si512(high, _mm512_set1_epi32(0x40));
  const __m512i rounded =
      _mm512_mask_mov_epi32(_mm512_srli_epi32(up, 16), _mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q), nan);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(rounded));
}
struct Halves {
  __m256 low, high;
};
inline Halves halves(Lanes a) {
  return {_mm512_castps512_ps256(a.v), _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a.v), 1))};
}

#else

struct Lanes {
  __m256 low, high;
};

inline Lanes held(Lanes a) {
  asm("" : "+x"(a.low), "+x"(a.high));
  return a;
}
inline Lanes zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
inline Lanes broadcast(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
inline Lanes load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline void store(float* p, Lanes a) {
  _mm256_storeu_ps(p, a.low);
  _mm256_storeu_ps(p + 8, a.high);
}
inline __m256i first_mask(int count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
/// The first `count` lanes; the others are 0 and not touched in memory.
inline Lanes load_first(const float* p, int count) {
  const __m256 high = count > 8 ? _mm256_maskload_ps(p + 8, first_mask(count - 8)) : _mm256_setzero_ps();
  return {_mm256_maskload_ps(p, first_mask(count)), high};
}
inline void store_first(float* p, Lanes a, int count) {
  _mm256_maskstore_ps(p, first_mask(count), a.low);
  if (count > 8) _mm256_maskstore_ps(p + 8, first_mask(count - 8), a.high);
}
inline Lanes operator+(Lanes a, Lanes b) {
  return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}
inline Lanes operator-(Lanes a, Lanes b) {
  return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
}
inline Lanes operator*(Lanes a, Lanes b) {
  return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}
inline Lanes operator/(Lanes a, Lanes b) {
  return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
}
inline Lanes max(Lanes a, Lanes b) { return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)}; }
/// a * b + c with one rounding.
inline Lanes fma(Lanes a, Lanes b, Lanes c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
inline __m256 spread_bits(uint32_t bits) {
  const __m256i places = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  const __m256i set = _mm256_and_si256(_mm256_set1_epi32(static_cast<int>(bits)), places);
  return _mm256_castsi256_ps(_mm256_cmpeq_epi32(set, places));
}
/// Lane i of `a` where bit i is set, else of `b`.
inline Lanes select(uint32_t bits, Lanes a, Lanes b) {
  return {_mm256_blendv_ps(b.low, a.low, spread_bits(bits)),
          _mm256_blendv_ps(b.high, a.high, spread_bits(bits >> 8))};
}
inline Lanes round(Lanes a) {
  constexpr int nearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return {_mm256_round_ps(a.low, nearest), _mm256_round_ps(a.high, nearest)};
}
/// a * 2^n for whole n with a normal result.
inline Lanes scale_by_power(Lanes a, Lanes n) {
  const auto scale = [](__m256 x, __m256 power) {
    return _mm256_castsi256_ps(
        _mm256_add_epi32(_mm256_castps_si256(x), _mm256_slli_epi32(_mm256_cvtps_epi32(power), 23)));
  };
  return {scale(a.low, n.low), scale(a.high, n.high)};
}
/// `a` where x >= limit, else 0.
inline Lanes keep_where_at_least(Lanes a, Lanes x, Lanes limit) {
  return {_mm256_and_ps(a.low, _mm256_cmp_ps(x.low, limit.low, _CMP_GE_OQ)),
          _mm256_and_ps(a.high, _mm256_cmp_ps(x.high, limit.high, _CMP_GE_OQ))};
}
/// Widened exactly.
inline Lanes load(const Bf16* p) {
  const auto widened = [](const Bf16* from) {
    const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
  };
  return {widened(p), widened(p + 8)};
}
/// Rounded to nearest even, NaN stays NaN: f32_to_bf16() of each.
inline void store(Bf16* p, Lanes a) {
  const auto rounded = [](__m256 x) {
    const __m256i bits = _mm256_castps_si256(x), high = _mm256_srli_epi32(bits, 16);
    const __m256i odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
    const __m256i up = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    const __m256i nan = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
    const __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    return _mm256_blendv_epi8(_mm256_srli_epi32(up, 16), nan, is_nan);
  };
  const __m256i mixed = _mm256_packus_epi32(rounded(a.low), rounded(a.high));  // quarters 0, 2, 1, 3
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute4x64_epi64(mixed, 0b11011000));
}
struct Halves {
  __m256 low, high;
};
inline Halves halves(Lanes a) { return {a.low, a.high}; }

#endif

/// The first `count` lanes; the others are 0 and not touched in memory.
inline Lanes load_first(const Bf16* p, int count) {
  Bf16 whole[lane_count] = {};
  for (int i = 0; i < count; ++i) whole[i] = p[i];
  return load(whole);
}
inline void store_first(Bf16* p, Lanes a, int count) {
  Bf16 whole[lane_count];
  store(whole, a);
  for (int i = 0; i < count; ++i) p[i] = whole[i];
}

/// The sum of all lanes, always added in the same tree.
inline float sum(Lanes a) {
  const Halves h = halves(a);
  const __m256 eight = _mm256_add_ps(h.low, h.high);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

inline float largest(Lanes a) {
  const Halves h = halves(a);
  const __m256 eight = _mm256_max_ps(h.low, h.high);
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}

/// e^x for x <= 88, to about one unit in the last place; 0 below -87.3, where f32 leaves its normal range.
/// Cody and Waite's reduction by ln 2, then a polynomial of degree 7 (coefficients of Cephes' expf).
inline Lanes exp(Lanes x) {
  const Lanes lowest = broadcast(-87.33654f);
  const Lanes bounded = max(x, lowest);
  const Lanes n = round(bounded * broadcast(1.44269504088896341f));
  const Lanes r = fma(n, broadcast(2.12194440e-4f), fma(n, broadcast(-0.693359375f), bounded));
  Lanes p = broadcast(1.9875691500e-4f);
  p = fma(p, r, broadcast(1.3981999507e-3f));
  p = fma(p, r, broadcast(8.3334519073e-3f));
  p = fma(p, r, broadcast(4.1665795894e-2f));
  p = fma(p, r, broadcast(1.6666665459e-1f));
  p = fma(p, r, broadcast(5.0000001201e-1f));
  p = fma(p, r * r, r) + broadcast(1.0f);
  return keep_where_at_least(scale_by_power(p, n), x, lowest);
}

}  // namespace
}  // namespace dalle1::cpu
