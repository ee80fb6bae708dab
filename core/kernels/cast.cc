#include "core/kernels/kernels.h"
#include "core/tensor/tensor.h"

namespace dalle1 {

Tensor Tensor::to(DType target) const {
  if (target == dtype()) return *this;
  Tensor copy = empty(device(), shape(), target, layout());
  kernels().cast(*this, copy);
  return copy;
}

}  // namespace dalle1
