// Rotary position embedding.
#pragma once

#include "core/tensor/context.h"

namespace dalle1::ops {

/// Rotary position embedding (Su et al. 2021): each run of D elements in the first `columns` of the last
/// axis, as D / 2 pairs (i, i + D / 2), is turned by the angles of its position. table f32 [T, D]: cosines,
/// then sines; row r of x is at position r % T. What follows `columns` passes as it is.
Tensor rotary(Context& context, const Tensor& x, const Tensor& table, int64_t columns);

}  // namespace dalle1::ops
