// oneDNN convolutions, made once per shape and kept.
//
// Blocked tensors are described to oneDNN with their channels in memory, padding included: padding lanes of
// activations are zero and packed weights have zero rows and columns there, so they stay zero, and every
// width takes the vectorised kernels.
#pragma once

#include <atomic>
#include <dnnl.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "core/cpu/cpu_kernels.h"

namespace dalle1 {

namespace cpu {

dnnl::memory::format_tag tag_of(Layout layout);

/// Everything that a convolution primitive depends on. Channels are those in memory.
struct ConvolutionShape {
  int64_t batch = 0, in = 0, height = 0, width = 0;  // x
  int64_t out = 0, out_height = 0, out_width = 0;    // y
  int64_t kernel_height = 0, kernel_width = 0;
  Layout x_layout = Layout::plain, y_layout = Layout::plain;
  Conv2dGeometry geometry;  ///< Computing in bf16, x (and the gradient of y) and w are bf16, results f32.

  ConvolutionShape(const Tensor& x, int64_t kernel_height, int64_t kernel_width, const Tensor& y,
                   const Conv2dGeometry& geometry);
  /// The same convolution between plain tensors of the true channel counts.
  ConvolutionShape plain(int64_t in_channels, int64_t out_channels) const;
  /// The same with operands in bf16 and all tensors channels_last, which is what AMX takes.
  ConvolutionShape narrow() const;
  void append_to(std::vector<int64_t>& key) const;
};

/// A made primitive and the form in which it wants its weights.
struct ConvolutionPlan {
  dnnl::primitive primitive;
  dnnl::memory::desc weights;
  bool vectorised = false;  ///< False: only oneDNN's reference loop takes this shape and layout.
  /// Made for one thread: oneDNN's product of patches, which few channels in plain layout take, is divided
  /// among threads where its sums then run in another order.
  bool alone = false;
};

}  // namespace cpu

struct CpuKernels::ConvolutionCache {
  enum class Direction : int64_t { forward, backward_data, backward_weights };
  /// What of a Conv2dEpilogue is part of the primitive. The gain is a bit pattern in the key.
  struct Fused {
    bool bias = false, residual = false, relu = false;
    float gain = 1.0f;
  };

  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  std::atomic<int64_t> reorders{0};  ///< Layout changes of activations since the device was made.

  std::shared_ptr<const cpu::ConvolutionPlan> plan(Direction direction, const cpu::ConvolutionShape& shape,
                                                   const Fused& fused);

 private:
  std::mutex mutex_;
  std::map<std::vector<int64_t>, std::shared_ptr<const cpu::ConvolutionPlan>> plans_;
};

}  // namespace dalle1
