// The batch-invariant product of inference: weights are packed once per version of their tensor.
#include <algorithm>

#include "core/cpu/cpu_kernels.h"
#include "core/cpu/packed_linear.h"
#include "core/cpu/parallel.h"

namespace dalle1 {
namespace {

using cpu::PackedLinearBlock;
using cpu::PackedLinearKernels;

/// What linear() derives from a weight tensor.
struct PackedWeights {
  Tensor panels;  ///< [panels, K, width]
};

std::shared_ptr<PackedWeights> packed(const Tensor& w, const PackedLinearKernels& kernels, int threads) {
  if (auto known = std::static_pointer_cast<PackedWeights>(w.derived())) return known;
  const int64_t columns = w.dim(0), depth = w.dim(1);
  const int64_t count = (columns + kernels.width - 1) / kernels.width;
  auto made = std::make_shared<PackedWeights>();
  made->panels = Tensor::empty(w.device(), {count, depth, kernels.width});
  const float* source = w.floats();
  float* target = made->panels.floats();
  cpu::parallel_for(threads, count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t panel = begin; panel < end; ++panel)
      kernels.pack(source, columns, depth, panel, target + panel * depth * kernels.width);
  });
  w.set_derived(made);
  return made;
}

/// How a product is cut into pieces of work. No cut changes a bit: each output is one chain over k.
struct Pieces {
  int64_t row_blocks, panel_groups;

  Pieces(int64_t rows, int64_t depth, int64_t panels, const PackedLinearKernels& kernels, int threads) {
    // A block of rows stays in the second-level cache while the panels pass by.
    constexpr int64_t cached_floats = 64 * 1024;
    const int64_t tallest =
        std::clamp<int64_t>(cached_floats / std::max<int64_t>(depth, 1) / kernels.row_step, 2, 16) *
        kernels.row_step;
    row_blocks = (rows + tallest - 1) / tallest;
    // Enough pieces to even out a busy core, each worth the start of a task. Reading a weight from memory
    // costs about as much as a dozen multiplications.
    constexpr int64_t weight_cost = 12, least_cost = 1 << 20;
    const int64_t cost = (rows + weight_cost) * depth * panels * kernels.width;
    const int64_t wanted = threads > 1 ? std::clamp<int64_t>(cost / least_cost, 1, 8 * threads) : 1;
    panel_groups = std::clamp<int64_t>((wanted + row_blocks - 1) / row_blocks, 1, panels);
  }
  int64_t count() const { return row_blocks * panel_groups; }
};

}  // namespace

void CpuKernels::linear(const Tensor& x, const Tensor& w, const Tensor* bias, Tensor& y) {
  const PackedLinearKernels& kernels = cpu::packed_linear(cpu::best_isa());
  const int64_t columns = w.dim(0), depth = w.dim(1);
  const int64_t rows = columns ? y.numel() / columns : 0;
  if (rows == 0) return;
  const auto weights = packed(w, kernels, threads_);
  const int64_t panels = weights->panels.dim(0);
  const Pieces pieces(rows, depth, panels, kernels, threads_);

  PackedLinearBlock whole;
  whole.x = x.floats();
  whole.rows = rows;
  whole.depth = depth;
  whole.panels = weights->panels.floats();
  whole.panel_count = panels;
  whole.bias = bias ? bias->floats() : nullptr;
  whole.y = y.floats();
  whole.y_stride = columns;
  whole.columns = columns;
  const auto run_piece = [&](int64_t piece) {
    const int64_t i = piece / pieces.panel_groups, j = piece % pieces.panel_groups;
    const int64_t row = rows * i / pieces.row_blocks, panel = panels * j / pieces.panel_groups;
    const int64_t first = panel * kernels.width;
    PackedLinearBlock block = whole;
    block.x += row * depth;
    block.rows = rows * (i + 1) / pieces.row_blocks - row;
    block.panels += first * depth;
    block.panel_count = panels * (j + 1) / pieces.panel_groups - panel;
    if (block.bias) block.bias += first;
    block.y += row * columns + first;
    block.columns -= first;
    kernels.multiply(block);
  };
  cpu::parallel_tasks(threads_, pieces.count(), run_piece);
}

}  // namespace dalle1
