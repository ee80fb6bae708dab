// Weights in the storage type that a product runs in.
#pragma once

#include <memory>

#include "core/kernels/kernels.h"

namespace dalle1::cuda {

/// What is prepared of a tensor's contents; see Tensor::with_prepared().
struct PreparedWeights {
  Tensor cast;    ///< In the other storage type.
  Tensor filter;  ///< A convolution's weights as [O, kh, kw, C].
};

/// `x` in `type`: itself, or a copy that is kept with it until its contents change (so f32 master weights
/// are rounded to bf16 once a step, not once a product).
inline Tensor converted(const Tensor& x, DType type) {
  if (x.dtype() == type) return x;
  return x.with_prepared<PreparedWeights>([&](PreparedWeights& weights) {
    if (!weights.cast.defined() || weights.cast.dtype() != type) weights.cast = x.to(type);
    return weights.cast;
  });
}

}  // namespace dalle1::cuda
