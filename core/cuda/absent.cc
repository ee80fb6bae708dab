// Linked instead of the CUDA backend in builds without it.
#include "core/cuda/activity.h"
#include "core/error.h"

namespace dalle1 {

int cuda_device_count() { return 0; }

std::shared_ptr<Device> make_cuda_device(int) {
  fail(ErrorKind::device, "this build has no CUDA backend; build with the cuda preset or use {} cpu",
       OptionName{"device"});
}

CudaActivity cuda_activity(const Device&) { fail(ErrorKind::internal, "this build has no CUDA backend"); }

void start_profile(Device&) { fail(ErrorKind::internal, "this build has no CUDA backend"); }
std::vector<PartTime> end_profile(Device&) { fail(ErrorKind::internal, "this build has no CUDA backend"); }

}  // namespace dalle1
