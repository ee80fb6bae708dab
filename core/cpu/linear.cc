// The batch-invariant product of inference: weights are packed once per version of their tensor.
#include "core/cpu/cpu_kernels.h"
#include "core/cpu/packed_linear.h"
#include "core/cpu/parallel.h"
#include "core/cpu/product_pieces.h"

namespace dalle1 {
namespace {

using cpu::PackedLinearBlock;
using cpu::PackedLinearKernels;

/// What linear() prepares of a weight tensor.
struct PackedWeights {
  Tensor panels;  ///< [panels, K, width]
};

Tensor packed(const Tensor& w, const PackedLinearKernels& kernels, int threads) {
  return w.with_prepared<PackedWeights>([&](PackedWeights& weights) {
    if (weights.panels.defined()) return weights.panels;
    const int64_t columns = w.dim(0), depth = w.dim(1);
    const int64_t count = (columns + kernels.width - 1) / kernels.width;
    weights.panels = Tensor::empty(w.device(), {count, depth, kernels.width});
    const float* source = w.floats();
    float* target = weights.panels.floats();
    cpu::parallel_for(threads, count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t panel = begin; panel < end; ++panel)
        kernels.pack(source, columns, depth, panel, target + panel * depth * kernels.width);
    });
    return weights.panels;
  });
}

}  // namespace

void CpuKernels::prepare_linear(const Tensor& w) {
  if (w.dtype() == DType::f32) packed(w, cpu::packed_linear(cpu::best_isa()), threads_);
}

void CpuKernels::linear(const LinearArguments& a) {
  const PackedLinearKernels& kernels = cpu::packed_linear(cpu::best_isa());
  const int64_t columns = a.w.dim(0), depth = a.w.dim(1);
  const int64_t rows = columns ? a.y.numel() / columns : 0;
  if (rows == 0) return;
  const Tensor panels = packed(a.w, kernels, threads_);
  PackedLinearBlock whole;
  whole.x = a.x.floats();
  whole.depth = depth;
  whole.panels = panels.floats();
  whole.bias = a.bias ? a.bias->floats() : nullptr;
  whole.y = a.y.floats();
  whole.y_stride = columns;
  whole.columns = columns;
  const cpu::ProductShape shape{rows, depth, panels.dim(0), kernels.width, kernels.row_step};
  cpu::for_each_piece(shape, threads_, [&](const cpu::ProductPiece& piece) {
    const int64_t first = piece.panel * kernels.width;
    PackedLinearBlock block = whole;
    block.x += piece.row * depth;
    block.rows = piece.rows;
    block.panels += first * depth;
    block.panel_count = piece.panels;
    if (block.bias) block.bias += first;
    block.y += piece.row * columns + first;
    block.columns -= first;
    kernels.multiply(block);
  });
}

}  // namespace dalle1
