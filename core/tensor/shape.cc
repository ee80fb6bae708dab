#include "core/tensor/shape.h"

#include <algorithm>

#include "core/error.h"

namespace dalle1 {

int64_t Shape::numel() const {
  int64_t n = 1;
  for (int64_t extent : extents_) n *= extent;
  return n;
}

std::vector<int64_t> Shape::strides() const {
  std::vector<int64_t> strides(extents_.size(), 1);
  for (int i = rank() - 2; i >= 0; --i) strides[i] = strides[i + 1] * extents_[i + 1];
  return strides;
}

Shape broadcast(const Shape& a, const Shape& b, const char* op) {
  const int rank = std::max(a.rank(), b.rank());
  std::vector<int64_t> extents(rank);
  for (int i = 1; i <= rank; ++i) {
    const int64_t x = i <= a.rank() ? a[-i] : 1;
    const int64_t y = i <= b.rank() ? b[-i] : 1;
    check(x == y || x == 1 || y == 1, ErrorKind::internal, "{}: shapes {} and {} do not broadcast", op, a, b);
    extents[rank - i] = x == 1 ? y : x;
  }
  return Shape(std::move(extents));
}

}  // namespace dalle1

fmt::format_context::iterator fmt::formatter<dalle1::Shape>::format(const dalle1::Shape& shape,
                                                                    format_context& context) const {
  return format_to(context.out(), "[{}]", join(shape.extents(), ", "));
}
