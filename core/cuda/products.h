// Matrix products by cuBLASLt. The algorithm of a shape is chosen once and then kept, so that a shape gives
// the same bits each time; f32 products run in full f32 (no TF32).
#pragma once

#include <cublasLt.h>

#include <array>
#include <map>
#include <mutex>

#include "core/cuda/cuda_device.h"

namespace dalle1 {

/// Row-major y [batch, m, n] = a [batch, m, k] b [batch, k, n] (+ bias [n]) (+ c).
struct CudaKernels::Products {
  struct Shape {
    int64_t m = 0, n = 0, k = 0;
    int64_t batch = 1, a_batch = 1, b_batch = 1;  ///< a_batch, b_batch: `batch`, or 1 for a shared matrix.
    bool transpose_a = false, transpose_b = false, accumulate = false, bias = false;
    bool gelu = false;  ///< Its approximation by tanh, after the bias.
    DType operands = DType::f32, result = DType::f32;
    std::array<uint32_t, 3> alignment{};  ///< Of a, b and y, in bytes; set by run().
    auto operator<=>(const Shape&) const = default;
  };

  explicit Products(CudaDevice& device);
  ~Products();

  /// Pointers to device memory of the shape's types; the bias and c, which may be y, are of the result's
  /// type. False, with nothing done, where cuBLASLt has no algorithm for the shape: it need not have one for
  /// every epilogue, type and alignment.
  bool run(Shape shape, const void* a, const void* b, const void* bias, const void* c, void* y);

 private:
  struct Plan;
  Plan& plan(const Shape& shape, const void* bias);

  static constexpr size_t kWorkspace = size_t{32} << 20;
  CudaDevice& device_;
  Tensor workspace_;  // of its own: recorded steps keep its address
  cublasLtHandle_t handle_ = nullptr;
  std::mutex mutex_;
  std::map<Shape, std::unique_ptr<Plan>> plans_;
};

}  // namespace dalle1
