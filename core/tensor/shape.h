// Extents of a tensor, outermost first.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <initializer_list>
#include <vector>

namespace dalle1 {

class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> extents) : extents_(extents) {}
  explicit Shape(std::vector<int64_t> extents) : extents_(std::move(extents)) {}

  int rank() const { return static_cast<int>(extents_.size()); }
  /// Extent of an axis; negative axes count from the end.
  int64_t operator[](int axis) const { return extents_[axis < 0 ? axis + extents_.size() : axis]; }
  int64_t& operator[](int axis) { return extents_[axis < 0 ? axis + extents_.size() : axis]; }
  int64_t numel() const;
  bool operator==(const Shape&) const = default;
  const std::vector<int64_t>& extents() const { return extents_; }
  /// Row-major strides in elements.
  std::vector<int64_t> strides() const;

 private:
  std::vector<int64_t> extents_;
};

/// The shape that both operands broadcast to (NumPy's rule); Error(internal) naming `op` when there is none.
Shape broadcast(const Shape& a, const Shape& b, const char* op);

}  // namespace dalle1

/// "[2, 3]". Shapes go into the messages of checks as they are, so that only a failed check writes them out.
template <>
struct fmt::formatter<dalle1::Shape> {
  constexpr auto parse(format_parse_context& context) { return context.begin(); }
  format_context::iterator format(const dalle1::Shape& shape, format_context& context) const;
};
