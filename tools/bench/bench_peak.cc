#include "tools/bench/bench_peak.h"

#include <CLI/CLI.hpp>

#include "core/cuda/peak.h"

namespace dalle1::tools {

cpu::MachinePeak peak_of(Device& device) {
  if (device.is_cpu()) return cpu::measure_peak(device.threads());
  const DevicePeak measured = measure_peak(device);
  cpu::MachinePeak peak;
  peak.gflops = measured.tflops * 1e3;
  peak.read_gb_s = measured.copy_gb_s;
  return peak;
}

void add_bench_precision(CLI::App& app, CommonOptions& common) {
  app.add_option("--precision", common.precision, "auto (what the device usually runs in), f32 or bf16")
      ->check(CLI::IsMember({"auto", "f32", "bf16"}))
      ->capture_default_str();
}

Precision bench_precision(const CommonOptions& common, const Device& device) {
  const PrecisionName name =
      common.precision == "auto" ? usual_precision(device) : precision_from_name(common.precision);
  check_precision(name, device);
  return precisions_of(name, device).pictures;
}

}  // namespace dalle1::tools
