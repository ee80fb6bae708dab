// Work that is recorded once as a graph and then replayed: no launches from the host, no allocation, no
// copies.
#include "core/cuda/cuda_device.h"
#include "core/cuda/cuda_error.h"
#include "core/cuda/timed_kernels.h"

namespace dalle1 {
namespace {

using cuda::require;

/// The first run does the work plainly, so that everything that is made on first use is there; the second is
/// recorded.
class CapturedGraph final : public Graph {
 public:
  CapturedGraph(CudaDevice& device, std::function<void()> work) : device_(device), work_(std::move(work)) {}
  ~CapturedGraph() override {
    if (!graph_) return;
    cudaStreamSynchronize(device_.stream());
    cudaGraphExecDestroy(graph_);
    device_.return_kept(kept_);
  }

  void launch() override {
    if (runs_++ == 0 || device_.timed().is_on()) return work_();
    if (!graph_) record();
    require(cudaGraphLaunch(graph_, device_.stream()), "replaying recorded work");
  }

 private:
  void record() {
    cudaGraph_t recording = nullptr;
    device_.begin_recording();
    try {
      work_();
    } catch (...) {  // the stream must not stay in this state
      kept_ = device_.end_recording(&recording);
      if (recording) cudaGraphDestroy(recording);
      device_.return_kept(kept_);
      throw;
    }
    kept_ = device_.end_recording(&recording);
    const cudaError_t status = cudaGraphInstantiate(&graph_, recording, 0);
    cudaGraphDestroy(recording);
    require(status, "preparing recorded work");
  }

  CudaDevice& device_;
  std::function<void()> work_;
  int64_t runs_ = 0;
  cudaGraphExec_t graph_ = nullptr;
  std::vector<void*> kept_;  // memory of the recording's temporaries
};

}  // namespace

std::unique_ptr<Graph> CudaDevice::capture(std::function<void()> work) {
  return std::make_unique<CapturedGraph>(*this, std::move(work));
}

}  // namespace dalle1
