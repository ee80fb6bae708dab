// Drawing tokens from logits, on the device. Nothing here is recorded on a tape.
#pragma once

#include "core/kernels/arguments.h"

namespace dalle1::ops {

/// The tokens of the grid cell that the device's counter names, for N candidates: drawn from `logits` [N, V]
/// by the rule of `cell`, or forced; with their log-probabilities under `own` [N, V], which differs from
/// `logits` with guidance. Waits for nothing on a device that captures; Error(model) for a logit that is not
/// finite, there at the next wait.
void sample_cell(const Tensor& logits, const Tensor& own, const CellSampling& cell);

/// cell [1] += 1, i64.
void advance(Tensor& cell);

}  // namespace dalle1::ops
