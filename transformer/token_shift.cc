#include "transformer/token_shift.h"

#include "core/ops/embedding.h"
#include "core/ops/movement.h"

namespace dalle1::transformer {
namespace {

constexpr int kQuarters = 4;
constexpr int64_t kNone = -1;

// The position that a quarter of the channels at `position` comes from.
int64_t source_of(int64_t position, int quarter, int64_t text, int64_t grid) {
  const int64_t cell = position - text;
  if (cell < 0) return quarter < 2 ? position - 1 : position;
  if (quarter == 0) return cell >= grid ? position - grid : kNone;
  if (quarter == 1) return cell % grid > 0 ? position - 1 : kNone;
  return position;
}

// Rows of x [R, C] by number; a row of zeros where there is none.
Tensor taken(Context& context, const Tensor& x, std::vector<int64_t> numbers) {
  for (int64_t& number : numbers)
    if (number == kNone) number = x.dim(0);
  const Tensor zeros = Tensor::zeros(x.device(), {1, x.dim(1)}, x.dtype());
  const Tensor ids = Tensor::from(x.device(), {static_cast<int64_t>(numbers.size())}, numbers);
  return ops::embedding(context, ids, ops::concat(context, {x, zeros}, 0));
}

}  // namespace

Tensor shift_tokens(Context& context, const Tensor& x, int32_t text, int32_t grid) {
  const int64_t batch = x.dim(0), length = x.dim(1);
  std::vector<int64_t> numbers;
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t position = 0; position < length; ++position) {
      for (int quarter = 0; quarter < kQuarters; ++quarter) {
        const int64_t source = source_of(position, quarter, text, grid);
        numbers.push_back(source < 0 ? kNone : (b * length + source) * kQuarters + quarter);
      }
    }
  }
  const Tensor quarters = ops::reshape(context, x, {batch * length * kQuarters, x.dim(2) / kQuarters});
  return ops::reshape(context, taken(context, quarters, std::move(numbers)), x.shape());
}

Tensor newest_cells(Context& context, const Tensor& x, int32_t text, int32_t grid) {
  const int64_t length = x.dim(1), width = x.dim(2);
  std::vector<int64_t> numbers(static_cast<size_t>(grid), kNone);
  for (int64_t position = text; position < length; ++position) numbers[(position - text) % grid] = position;
  const Tensor rows = ops::reshape(context, x, {length, width});
  return taken(context, ops::slice(context, rows, -1, 0, width / 2), std::move(numbers));
}

Tensor shift_cell(Context& context, const Tensor& x, int32_t column, const Tensor& newest) {
  const int64_t half = x.dim(1) / 2, quarter = half / 2;
  const auto newest_in = [&](int32_t c) { return newest.rows(c, c + 1).view({x.dim(0), half}); };
  const Tensor above = ops::slice(context, newest_in(column), -1, 0, quarter);
  const Tensor left = column > 0 ? ops::slice(context, newest_in(column - 1), -1, quarter, half)
                                 : Tensor::zeros(x.device(), {x.dim(0), quarter}, x.dtype());
  newest_in(column).copy_from(ops::slice(context, x, -1, 0, half));
  return ops::concat(context, {above, left, ops::slice(context, x, -1, half, 2 * half)}, -1);
}

}  // namespace dalle1::transformer
