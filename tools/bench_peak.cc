#include "tools/bench_peak.h"

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

}  // namespace dalle1::tools
