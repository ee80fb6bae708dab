#include "core/ops/reduce.h"

#include "core/grad/tape.h"
#include "core/kernels/kernels.h"
#include "core/ops/elementwise.h"
#include "core/ops/movement.h"

namespace dalle1::ops {
namespace {

Tensor sum_keeping(const Tensor& x, const Shape& kept) {
  Tensor y = Tensor::empty(x.device(), kept);
  x.kernels().sum_to(x, y);
  return y;
}

}  // namespace

Tensor sum(Context& context, const Tensor& input, const std::vector<int>& axes) {
  const Tensor x = to_plain(context, input);
  Shape kept = x.shape();
  for (int axis : axes) {
    check(axis >= -x.rank() && axis < x.rank(), ErrorKind::internal, "sum: axis {} of {}", axis, x.shape());
    kept[axis] = 1;
  }
  Tensor y = sum_keeping(x, kept);
  if (context.tape) {
    context.tape->record(
        {x}, y, [shape = x.shape()](const Tensor& dy) { return std::vector<Tensor>{broadcast(dy, shape)}; });
  }
  return y;
}

Tensor sum(Context& context, const Tensor& x) {
  std::vector<int> axes(x.rank());
  for (int i = 0; i < x.rank(); ++i) axes[i] = i;
  return reshape(context, sum(context, x, axes), {1});
}

Tensor mean(Context& context, const Tensor& x) {
  return affine(context, sum(context, x), 1.0f / static_cast<float>(x.numel()));
}

Tensor l2_normalise(Context& context, const Tensor& x, float epsilon) {
  Tensor squares = sum(context, square(context, x), {-1});
  return mul(context, x, unary(context, Unary::rsqrt, affine(context, squares, 1.0f, epsilon)));
}

Tensor reduced_to(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  check(x.layout() == Layout::plain, ErrorKind::internal, "reduction of a blocked tensor of {}", x.shape());
  std::vector<int64_t> padded(x.rank() - shape.rank(), 1);
  padded.insert(padded.end(), shape.extents().begin(), shape.extents().end());
  return sum_keeping(x, Shape(std::move(padded))).view(shape);
}

}  // namespace dalle1::ops
