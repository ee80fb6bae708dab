#include "core/ops/sampling.h"

#include "core/kernels/kernels.h"

namespace dalle1::ops {

void sample_cell(const Tensor& logits, const Tensor& own, const CellSampling& cell) {
  check(logits.rank() == 2 && logits.shape() == own.shape() && own.dim(0) == cell.candidates.numel(),
        ErrorKind::internal, "sample_cell: logits {} and {} for {} candidates", logits.shape(), own.shape(),
        cell.candidates.numel());
  logits.kernels().sample_cell(logits, own, cell);
}

void advance(Tensor& cell) { cell.kernels().advance(cell); }

}  // namespace dalle1::ops
