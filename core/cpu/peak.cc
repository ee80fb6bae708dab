#include "core/cpu/peak.h"

#include <omp.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <string>
#include <vector>

#include "core/cpu/isa.h"

namespace dalle1::cpu {
namespace {

double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double own_seconds() {
  rusage use{};
  getrusage(RUSAGE_SELF, &use);
  const auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + t.tv_usec * 1e-6; };
  return seconds(use.ru_utime) + seconds(use.ru_stime);
}

/// Seconds that all processors together spent on anything but idling; negative where there is no /proc/stat.
double machine_seconds() {
  std::ifstream stat("/proc/stat");
  std::string label;
  double user = 0, nice = 0, system = 0;
  if (!(stat >> label >> user >> nice >> system)) return -1;
  return (user + nice + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

double thread_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

/// All threads multiply at once; each counts its own time on a processor, so that a busy machine does not
/// lower the scale.
double multiply_add_gflops(const PeakKernels& kernels, int threads) {
  constexpr int64_t steps = 1 << 20;
  double best = 0;
  for (int run = 0; run < 7; ++run) {
    double total = 0;
#pragma omp parallel num_threads(threads) reduction(+ : total)
    {
      const double start = thread_seconds();
      kernels.multiply_add(steps);
      total += static_cast<double>(steps * kernels.flops_per_step) / (thread_seconds() - start) * 1e-9;
    }
    best = std::max(best, total);
  }
  return best;
}

/// The fastest of many passes over parts of an array, each part larger than a cache.
double read_gb_s(const PeakKernels& kernels, int threads) {
  constexpr int64_t parts = 8, part = 1 << 24;  // 64 MiB each
  const std::vector<float> data(parts * part, 1.0f);
  const int64_t share = part / threads / 128 * 128;
  std::vector<float> sums(threads);
  double best = 0;
  for (int64_t run = 0; run < 3 * parts; ++run) {
    const float* begin = data.data() + run % parts * part;
    const double start = wall_seconds();
#pragma omp parallel num_threads(threads)
    sums[omp_get_thread_num()] = kernels.read_sum(begin + omp_get_thread_num() * share, share);
    const double seconds = wall_seconds() - start;
    best = std::max(best, static_cast<double>(share * threads * sizeof(float)) / seconds * 1e-9);
  }
  return best;
}

}  // namespace

MachinePeak measure_peak(int threads) {
  const PeakKernels& kernels = best_isa() == Isa::avx512 ? peak_avx512 : peak_avx2;
  return {multiply_add_gflops(kernels, threads), read_gb_s(kernels, threads)};
}

LoadMeter::LoadMeter() : wall_(wall_seconds()), machine_(machine_seconds()), own_(own_seconds()) {}

double LoadMeter::others_cores() const {
  const double machine = machine_seconds();
  if (machine < 0) return -1;
  const double wall = std::max(wall_seconds() - wall_, 1e-3);
  return std::max(0.0, (machine - machine_ - (own_seconds() - own_)) / wall);
}

}  // namespace dalle1::cpu
