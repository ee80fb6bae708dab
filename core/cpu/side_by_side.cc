#include <exception>
#include <mutex>

#include "core/cpu/cpu_kernels.h"
#include "core/cpu/parallel.h"

namespace dalle1 {

void CpuKernels::side_by_side(int n, const std::function<void(int)>& body) {
  std::mutex mutex;
  std::exception_ptr error;  // none may leave an OpenMP region
  cpu::parallel_tasks(threads_, n, [&](int64_t i) {
    try {
      body(static_cast<int>(i));
    } catch (...) {
      std::lock_guard lock(mutex);
      if (!error) error = std::current_exception();
    }
  });
  if (error) std::rethrow_exception(error);
}

}  // namespace dalle1
