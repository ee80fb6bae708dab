#include "core/tensor/device.h"

namespace dalle1 {
namespace {

class PlainGraph final : public Graph {
 public:
  explicit PlainGraph(std::function<void()> work) : work_(std::move(work)) {}
  void launch() override { work_(); }

 private:
  std::function<void()> work_;
};

}  // namespace

void Device::run_parallel(int n, const std::function<void(int)>& body) {
  for (int i = 0; i < n; ++i) body(i);
}

std::unique_ptr<Graph> Device::capture(std::function<void()> work) {
  return std::make_unique<PlainGraph>(std::move(work));
}

}  // namespace dalle1
