// The loops that measure a machine's peak, for the instruction set that the including file is compiled for.
#pragma once

#include "core/cpu/lanes.h"
#include "core/cpu/peak.h"

namespace dalle1::cpu {
namespace {

#if defined(__AVX512F__)
constexpr int peak_chains = 16;  // 16 registers
#else
constexpr int peak_chains = 6;  // 12 registers
#endif

/// Keeps the compiler from seeing through a value.
inline void hide(Lanes& a) {
#if defined(__AVX512F__)
  asm volatile("" : "+v"(a.v));
#else
  asm volatile("" : "+x"(a.low), "+x"(a.high));
#endif
}

void multiply_add(int64_t steps) {
  Lanes chains[peak_chains];
  Lanes factor = broadcast(0.999f), addend = broadcast(0.001f);
  hide(factor);
  hide(addend);
#pragma GCC unroll 16
  for (int i = 0; i < peak_chains; ++i) {
    chains[i] = broadcast(1.0f);
    hide(chains[i]);
  }
  for (int64_t step = 0; step < steps; ++step)
#pragma GCC unroll 16
    for (int i = 0; i < peak_chains; ++i) chains[i] = fma(chains[i], factor, addend);
#pragma GCC unroll 16
  for (int i = 0; i < peak_chains; ++i) hide(chains[i]);
}

float read_sum(const float* data, int64_t count) {
  constexpr int width = 8;
  Lanes sums[width];
  for (int i = 0; i < width; ++i) sums[i] = zero();
  for (int64_t at = 0; at < count; at += width * lane_count)
#pragma GCC unroll 8
    for (int i = 0; i < width; ++i) sums[i] = sums[i] + load(data + at + i * lane_count);
  for (int i = 1; i < width; ++i) sums[0] = sums[0] + sums[i];
  return sum(sums[0]);
}

constexpr PeakKernels kernels = {peak_chains * lane_count * 2, multiply_add, read_sum};

}  // namespace
}  // namespace dalle1::cpu
