#include "core/ops/movement.h"

#include "core/grad/tape.h"
#include "core/kernels/kernels.h"
#include "core/ops/layout.h"
#include "core/ops/reduce.h"

namespace dalle1::ops {
namespace {

int normalised(int axis, const Tensor& x, const char* op) {
  check(axis >= -x.rank() && axis < x.rank(), ErrorKind::internal, "{}: axis {} of {}", op, axis, x.shape());
  return axis < 0 ? axis + x.rank() : axis;
}

Tensor permuted(const Tensor& x, const std::vector<int>& axes) {
  const auto strides = x.shape().strides();
  std::vector<int64_t> extents, from;
  for (int axis : axes) {
    extents.push_back(x.dim(axis));
    from.push_back(strides[axis]);
  }
  const Shape shape(extents);
  Tensor y = Tensor::empty(x.device(), shape, x.dtype());
  x.kernels().strided_copy({extents, from, shape.strides()}, x, y);
  return y;
}

// Copies the block of `part`'s extents between `whole` (from `begin` on `axis`) and `part`.
void copy_part(const Tensor& whole, int axis, int64_t begin, const Tensor& part, bool into_whole) {
  Kernels::StridedCopy copy;
  copy.extents = part.shape().extents();
  const auto whole_strides = whole.shape().strides(), part_strides = part.shape().strides();
  const int64_t offset = begin * whole_strides[axis];
  Tensor source = into_whole ? part : whole, target = into_whole ? whole : part;
  copy.strides_x = into_whole ? part_strides : whole_strides;
  copy.strides_y = into_whole ? whole_strides : part_strides;
  (into_whole ? copy.offset_y : copy.offset_x) = offset;
  whole.kernels().strided_copy(copy, source, target);
}

}  // namespace

Tensor reshape(Context& context, const Tensor& input, Shape shape) {
  const Tensor x = to_plain(context, input);
  int64_t known = 1;
  int free_axis = -1;
  for (int i = 0; i < shape.rank(); ++i) {
    if (shape[i] == -1) {
      free_axis = i;
    } else {
      known *= shape[i];
    }
  }
  if (free_axis >= 0) shape[free_axis] = x.numel() / std::max<int64_t>(known, 1);
  Tensor y = x.view(shape);
  if (context.tape) {
    context.tape->record({x}, y,
                         [from = x.shape()](const Tensor& dy) { return std::vector<Tensor>{dy.view(from)}; });
  }
  return y;
}

Tensor permute(Context& context, const Tensor& input, const std::vector<int>& axes) {
  const Tensor x = to_plain(context, input);
  check(static_cast<int>(axes.size()) == x.rank(), ErrorKind::internal, "permute: {} axes for {}",
        axes.size(), x.shape());
  Tensor y = permuted(x, axes);
  if (context.tape) {
    std::vector<int> inverse(axes.size());
    for (size_t i = 0; i < axes.size(); ++i) inverse[axes[i]] = static_cast<int>(i);
    context.tape->record({x}, y,
                         [inverse](const Tensor& dy) { return std::vector<Tensor>{permuted(dy, inverse)}; });
  }
  return y;
}

Tensor slice(Context& context, const Tensor& input, int axis, int64_t begin, int64_t end) {
  const Tensor x = to_plain(context, input);
  axis = normalised(axis, x, "slice");
  check(0 <= begin && begin <= end && end <= x.dim(axis), ErrorKind::internal,
        "slice [{}, {}) of axis {} of {}", begin, end, axis, x.shape());
  Shape shape = x.shape();
  shape[axis] = end - begin;
  Tensor y = Tensor::empty(x.device(), shape, x.dtype());
  copy_part(x, axis, begin, y, false);
  if (context.tape) {
    context.tape->record({x}, y, [from = x.shape(), axis, begin](const Tensor& dy) {
      Tensor dx = Tensor::zeros(dy.device(), from, dy.dtype());
      copy_part(dx, axis, begin, dy, true);
      return std::vector<Tensor>{dx};
    });
  }
  return y;
}

Tensor concat(Context& context, const std::vector<Tensor>& inputs, int axis) {
  check(!inputs.empty(), ErrorKind::internal, "concat of nothing");
  std::vector<Tensor> parts;
  for (const Tensor& part : inputs) parts.push_back(to_plain(context, part));
  axis = normalised(axis, parts[0], "concat");
  Shape shape = parts[0].shape();
  shape[axis] = 0;
  std::vector<int64_t> begins;
  for (const Tensor& part : parts) {
    begins.push_back(shape[axis]);
    Shape expected = shape;
    check(part.rank() == shape.rank(), ErrorKind::internal, "concat of {} and {}", parts[0].shape(),
          part.shape());
    expected[axis] = part.dim(axis);
    check(part.shape() == expected, ErrorKind::internal, "concat of {} and {} on axis {}", parts[0].shape(),
          part.shape(), axis);
    shape[axis] += part.dim(axis);
  }
  Tensor y = Tensor::empty(parts[0].device(), shape, parts[0].dtype());
  for (size_t i = 0; i < parts.size(); ++i) copy_part(y, axis, begins[i], parts[i], true);
  if (context.tape) {
    std::vector<Shape> shapes;
    for (const Tensor& part : parts) shapes.push_back(part.shape());
    context.tape->record(parts, y, [shapes, begins, axis](const Tensor& dy) {
      std::vector<Tensor> gradients;
      for (size_t i = 0; i < shapes.size(); ++i) {
        Tensor part = Tensor::empty(dy.device(), shapes[i], dy.dtype());
        copy_part(dy, axis, begins[i], part, false);
        gradients.push_back(part);
      }
      return gradients;
    });
  }
  return y;
}

Tensor broadcast(const Tensor& x, const Shape& shape) {
  check(x.rank() == shape.rank(), ErrorKind::internal, "broadcast of {} to {}", x.shape(), shape);
  auto strides = x.shape().strides();
  for (int i = 0; i < x.rank(); ++i) {
    check(x.dim(i) == shape[i] || x.dim(i) == 1, ErrorKind::internal, "broadcast of {} to {}", x.shape(),
          shape);
    if (x.dim(i) != shape[i]) strides[i] = 0;
  }
  Tensor y = Tensor::empty(x.device(), shape, x.dtype());
  x.kernels().strided_copy({shape.extents(), strides, shape.strides()}, x, y);
  return y;
}

Tensor broadcast_to(Context& context, const Tensor& input, const Shape& shape) {
  const Tensor x = to_plain(context, input);
  Tensor y = broadcast(x, shape);
  if (context.tape) {
    context.tape->record(
        {x}, y, [from = x.shape()](const Tensor& dy) { return std::vector<Tensor>{reduced_to(dy, from)}; });
  }
  return y;
}

Tensor to_plain(Context& context, const Tensor& x) { return to_layout(context, x, Layout::plain); }

}  // namespace dalle1::ops
