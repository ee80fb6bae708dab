#include "core/ops/rotary.h"

#include "core/grad/tape.h"
#include "core/kernels/kernels.h"
#include "core/ops/layout.h"

namespace dalle1::ops {

Tensor rotary(Context& context, const Tensor& x, const Tensor& table, int64_t columns) {
  check(table.rank() == 2 && table.dim(1) % 2 == 0 && columns % table.dim(1) == 0 && columns <= x.dim(-1) &&
            x.numel() / x.dim(-1) % table.dim(0) == 0,
        ErrorKind::internal, "rotary: {} columns of {} by a table {}", columns, x.shape(), table.shape());
  Tensor y = empty_like(x);
  x.kernels().rotate(x, {table, columns}, y);
  if (context.tape) {
    context.tape->record({x}, y, [=](const Tensor& dy) {
      Tensor dx = empty_like(x);
      x.kernels().rotate(dy, {table, columns, /*forward=*/false}, dx);
      return std::vector<Tensor>{dx};
    });
  }
  return y;
}

}  // namespace dalle1::ops
