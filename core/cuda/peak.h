// What a device reaches in the two things that limit decoding: the scale of its benchmarks.
#pragma once

#include "core/tensor/device.h"

namespace dalle1 {

struct DevicePeak {
  double tflops = 0;     ///< A bf16 product of 8192 x 8192 x 8192 on random values.
  double copy_gb_s = 0;  ///< Bytes read plus bytes written by a copy of 2 GiB.
};

/// Takes about a second and 5 GiB of a CUDA device's memory; the best of several runs.
DevicePeak measure_peak(Device& device);

}  // namespace dalle1
