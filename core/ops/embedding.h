// Table look-up.
#pragma once

#include "core/tensor/context.h"

namespace dalle1::ops {

/// y[.., :] = table[ids[..], :]; ids i64 of any shape, table [V, C].
Tensor embedding(Context& context, const Tensor& ids, const Tensor& table);

}  // namespace dalle1::ops
