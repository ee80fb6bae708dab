// vpdpbusd in plain code, for the kernels of tests on machines without it.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace dalle1::cpu {
namespace {

// Four products of an unsigned and a signed byte in each of eight sums.
inline __m256i stand_in_dpbusd(__m256i sums, __m256i x, __m256i w) {
  alignas(32) int32_t totals[8];
  alignas(32) uint8_t unsigned_bytes[32];
  alignas(32) int8_t signed_bytes[32];
  _mm256_store_si256(reinterpret_cast<__m256i*>(totals), sums);
  _mm256_store_si256(reinterpret_cast<__m256i*>(unsigned_bytes), x);
  _mm256_store_si256(reinterpret_cast<__m256i*>(signed_bytes), w);
  for (int i = 0; i < 32; ++i) totals[i / 4] += int32_t{unsigned_bytes[i]} * signed_bytes[i];
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(totals));
}

}  // namespace
}  // namespace dalle1::cpu

#define DALLE1_DPBUSD stand_in_dpbusd
