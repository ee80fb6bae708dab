#include "core/ops/haar.h"

#include "core/ops/elementwise.h"
#include "core/ops/movement.h"

namespace dalle1::ops {

Tensor inverse_haar(Context& context, const Tensor& low, const Tensor& high) {
  check(low.rank() == 4 && high.shape() == Shape({low.dim(0), low.dim(1), 3, low.dim(2), low.dim(3)}),
        ErrorKind::internal, "inverse_haar: low {} and high {}", low.shape(), high.shape());
  const int64_t batch = low.dim(0), channels = low.dim(1), height = low.dim(2), width = low.dim(3);
  const Shape band{batch, channels, height, width};
  const Tensor a = affine(context, low, 0.5f);
  auto detail = [&](int64_t i) {
    return affine(context, reshape(context, slice(context, high, 2, i, i + 1), band), 0.5f);
  };
  const Tensor vertical = detail(0), horizontal = detail(1), diagonal = detail(2);
  const Tensor top = add(context, a, vertical), bottom = sub(context, a, vertical);
  const Tensor cross_top = add(context, horizontal, diagonal),
               cross_bottom = sub(context, horizontal, diagonal);
  // Quadrants of each 2x2 output cell, rows then columns, interleaved by a permutation.
  const Tensor cells = concat(context,
                              {add(context, top, cross_top), sub(context, top, cross_top),
                               add(context, bottom, cross_bottom), sub(context, bottom, cross_bottom)},
                              0);
  const Tensor split = reshape(context, cells, {2, 2, batch * channels, height, width});
  const Tensor interleaved = permute(context, split, {2, 3, 0, 4, 1});
  return reshape(context, interleaved, {batch, channels, 2 * height, 2 * width});
}

}  // namespace dalle1::ops
