#include "core/ops/random.h"

#include "core/kernels/kernels.h"

namespace dalle1::ops {

Tensor uniform(Device& device, const Shape& shape, float low, float high, uint64_t seed, Stream stream,
               uint32_t index) {
  Tensor y = Tensor::empty(device, shape);
  y.kernels().uniform({seed, stream, index, /*step=*/0}, y);
  y.kernels().affine(y, high - low, low, y);
  return y;
}

}  // namespace dalle1::ops
