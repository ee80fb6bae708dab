// Weights in the storage type that a product runs in.
#pragma once

#include <memory>

#include "core/ops/kernels.h"

namespace dalle1::cuda {

/// What is derived from a tensor's contents; see Tensor::derived().
struct DerivedWeights {
  Tensor cast;    ///< In the other storage type.
  Tensor filter;  ///< A convolution's weights as [O, kh, kw, C].
};

/// `x` in `type`: itself, or a copy that is kept with it until its contents change (so f32 master weights
/// are rounded to bf16 once a step, not once a product).
inline Tensor converted(const Tensor& x, DType type) {
  if (x.dtype() == type) return x;
  auto known = std::static_pointer_cast<DerivedWeights>(x.derived());
  if (known && known->cast.defined() && known->cast.dtype() == type) return known->cast;
  auto made = std::make_shared<DerivedWeights>(known ? *known : DerivedWeights{});
  made->cast = x.to(type);
  x.set_derived(made);
  return made->cast;
}

}  // namespace dalle1::cuda
