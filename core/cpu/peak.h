// What this machine can do at best, measured now: the scale beside which benchmarks print their figures.
#pragma once

#include <cstdint>

namespace dalle1::cpu {

struct MachinePeak {
  double gflops = 0;     ///< f32 fused multiply-adds on registers alone, two operations each.
  double read_gb_s = 0;  ///< Reading an array far larger than the caches.
};

/// The best of several short runs on `threads` threads, about a second in all; takes 512 MiB of memory.
/// Arithmetic is counted in the threads' own processor time, reading in wall time.
MachinePeak measure_peak(int threads);

/// How busy other processes keep the machine: without it a benchmark on a shared machine says little.
class LoadMeter {
 public:
  LoadMeter();
  /// Cores that other processes used on average since this object was made; negative where the system does
  /// not tell.
  double others_cores() const;

 private:
  double wall_, machine_, own_;  // seconds at the start
};

/// The loops of one instruction set.
struct PeakKernels {
  int64_t flops_per_step;
  void (*multiply_add)(int64_t steps);
  float (*read_sum)(const float* data, int64_t count);  ///< `count` a multiple of 128.
};

extern const PeakKernels peak_avx2;
extern const PeakKernels peak_avx512;

}  // namespace dalle1::cpu
