// Sixteen pairs of bf16 numbers: what an instruction of AVX512-BF16 multiplies at once.
//
// Only for files that are compiled for one instruction set (see lanes.h). Without AVX512-BF16 the same in
// plain code, for tests on machines that lack it.
#pragma once

#include "core/cpu/lanes.h"

namespace dalle1::cpu {
namespace {

#if defined(__AVX512BF16__)

struct Pairs {
  __m512i v;
};

inline Pairs load_pairs(const Bf16* p) { return {_mm512_loadu_si512(p)}; }
inline void store_pairs(Bf16* p, Pairs a) { _mm512_storeu_si512(p, a.v); }
/// The pair at `p` sixteen times.
inline Pairs broadcast_pair(const Bf16* p) {
  int32_t pair;
  __builtin_memcpy(&pair, p, sizeof(pair));
  return {_mm512_set1_epi32(pair)};
}
/// Thirty-two numbers in their order: pairs of neighbours. Rounded to nearest even.
inline Pairs rounded(Lanes first, Lanes second) {
  return {reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(second.v, first.v))};
}
/// Lane i of both as pair i.
inline Pairs rounded_and_woven(Lanes even, Lanes odd) {
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7,
                                         22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return {_mm512_permutexvar_epi16(order, rounded(even, odd).v)};
}
/// sums + the products of both numbers of each pair.
inline Lanes dot(Lanes sums, Pairs a, Pairs b) {
  return {_mm512_dpbf16_ps(sums.v, reinterpret_cast<__m512bh>(a.v), reinterpret_cast<__m512bh>(b.v))};
}

/// Sixteen times sixteen pairs, columns for rows.
inline void transpose(Pairs (&m)[lane_count]) {
  __m512i a[lane_count], b[lane_count];
#pragma GCC unroll 16
  for (int i = 0; i < lane_count; i += 2) {
    a[i] = _mm512_unpacklo_epi32(m[i].v, m[i + 1].v);
    a[i + 1] = _mm512_unpackhi_epi32(m[i].v, m[i + 1].v);
  }
#pragma GCC unroll 16
  for (int i = 0; i < lane_count; i += 4)
#pragma GCC unroll 2
    for (int j = 0; j < 2; ++j) {
      b[i + 2 * j] = _mm512_unpacklo_epi64(a[i + j], a[i + 2 + j]);
      b[i + 2 * j + 1] = _mm512_unpackhi_epi64(a[i + j], a[i + 2 + j]);
    }
    // b[4 q + j]: in quarter p, column 4 p + j of rows 4 q to 4 q + 3.
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    const __m512i even01 = _mm512_shuffle_i32x4(b[j], b[4 + j], 0x88),
                  even23 = _mm512_shuffle_i32x4(b[8 + j], b[12 + j], 0x88),
                  odd01 = _mm512_shuffle_i32x4(b[j], b[4 + j], 0xdd),
                  odd23 = _mm512_shuffle_i32x4(b[8 + j], b[12 + j], 0xdd);
    m[j].v = _mm512_shuffle_i32x4(even01, even23, 0x88);
    m[8 + j].v = _mm512_shuffle_i32x4(even01, even23, 0xdd);
    m[4 + j].v = _mm512_shuffle_i32x4(odd01, odd23, 0x88);
    m[12 + j].v = _mm512_shuffle_i32x4(odd01, odd23, 0xdd);
  }
}

#else

struct Pairs {
  Bf16 v[2 * lane_count];
};

inline Pairs load_pairs(const Bf16* p) {
  Pairs a;
  __builtin_memcpy(a.v, p, sizeof(a.v));
  return a;
}
inline void store_pairs(Bf16* p, Pairs a) { __builtin_memcpy(p, a.v, sizeof(a.v)); }
inline Pairs broadcast_pair(const Bf16* p) {
  Pairs a;
  for (int i = 0; i < 2 * lane_count; ++i) a.v[i] = p[i % 2];
  return a;
}
inline Pairs rounded(Lanes first, Lanes second) {
  Pairs a;
  store(a.v, first);
  store(a.v + lane_count, second);
  return a;
}
inline Pairs rounded_and_woven(Lanes even, Lanes odd) {
  const Pairs apart = rounded(even, odd);
  Pairs a;
  for (int i = 0; i < 2 * lane_count; ++i) a.v[i] = apart.v[i % 2 * lane_count + i / 2];
  return a;
}
inline Lanes dot(Lanes sums, Pairs a, Pairs b) {
  float totals[lane_count];
  store(totals, sums);
  for (int i = 0; i < 2 * lane_count; ++i)
    totals[i / 2] += bf16_to_f32(a.v[i].bits) * bf16_to_f32(b.v[i].bits);
  return load(totals);
}
inline void transpose(Pairs (&m)[lane_count]) {
  for (int i = 0; i < lane_count; ++i)
    for (int j = 0; j < i; ++j)
      for (int half = 0; half < 2; ++half) {
        const Bf16 kept = m[i].v[2 * j + half];
        m[i].v[2 * j + half] = m[j].v[2 * i + half];
        m[j].v[2 * i + half] = kept;
      }
}

#endif

}  // namespace
}  // namespace dalle1::cpu
