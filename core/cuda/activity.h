// What a CUDA device has asked of the driver: the figures by which tests prove that a loop stays on the GPU.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/tensor/device.h"

namespace dalle1 {

struct CudaActivity {
  int64_t driver_allocations = 0;  ///< Blocks taken from the driver; a warm pool takes none.
  int64_t uploads = 0;             ///< Copies from the host.
  int64_t downloads = 0;           ///< Copies to the host; each waits for the GPU.
  int64_t waits = 0;               ///< Times the host waited for the GPU, downloads included.
};

/// Counts since the device was made. Error(internal) for a device that is not CUDA.
CudaActivity cuda_activity(const Device& device);

/// Time on the GPU of one kind of op between start_profile() and end_profile().
struct PartTime {
  std::string name;
  int64_t calls = 0;
  double seconds = 0;
};

/// From now on the ops of cached decoding are timed one by one; recorded work is done plainly instead.
void start_profile(Device& device);
/// In order of first use. Waits for the GPU.
std::vector<PartTime> end_profile(Device& device);

}  // namespace dalle1
