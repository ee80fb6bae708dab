#include "core/cpu/peak.h"

#include <omp.h>
#include <sys/resource.h>
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

/// The shortest of several runs of `body(thread)` on all threads at once.
template <typename Body>
double best_seconds(int threads, int runs, const Body& body) {
  double best = 1e30;
  for (int run = 0; run < runs; ++run) {
    const double start = wall_seconds();
#pragma omp parallel num_threads(threads)
    body(omp_get_thread_num());
    best = std::min(best, wall_seconds() - start);
  }
  return best;
}

}  // namespace

MachinePeak measure_peak(int threads) {
  const PeakKernels& kernels = best_isa() == Isa::avx512 ? peak_avx512 : peak_avx2;
  MachinePeak peak;
  constexpr int64_t flops = int64_t{1} << 32;  // of one thread, tens of milliseconds
  const int64_t steps = flops / kernels.flops_per_step;
  const double compute = best_seconds(threads, 7, [&](int) { kernels.multiply_add(steps); });
  peak.gflops = static_cast<double>(threads) * steps * kernels.flops_per_step / compute * 1e-9;

  const int64_t part = (int64_t{1} << 27) / threads / 128 * 128;
  const std::vector<float> data(part * threads, 1.0f);
  std::vector<float> sums(threads);
  const double reading = best_seconds(
      threads, 5, [&](int thread) { sums[thread] = kernels.read_sum(&data[thread * part], part); });
  peak.read_gb_s = static_cast<double>(data.size()) * sizeof(float) / reading * 1e-9;
  return peak;
}

LoadMeter::LoadMeter() : wall_(wall_seconds()), machine_(machine_seconds()), own_(own_seconds()) {}

double LoadMeter::others_cores() const {
  const double machine = machine_seconds();
  if (machine < 0) return -1;
  const double wall = std::max(wall_seconds() - wall_, 1e-3);
  return std::max(0.0, (machine - machine_ - (own_seconds() - own_)) / wall);
}

}  // namespace dalle1::cpu
