#include "core/ops/embedding.h"

#include "core/grad/tape.h"
#include "core/kernels/kernels.h"

namespace dalle1::ops {

Tensor embedding(Context& context, const Tensor& ids, const Tensor& table) {
  check(ids.dtype() == DType::i64 && table.rank() == 2, ErrorKind::internal,
        "embedding: ids {} {} and table {}", name_of(ids.dtype()), ids.shape(), table.shape());
  std::vector<int64_t> extents = ids.shape().extents();
  extents.push_back(table.dim(1));
  Tensor y = Tensor::empty(table.device(), Shape(std::move(extents)), table.dtype());
  table.kernels().embedding(ids, table, y);
  if (context.tape) {
    context.tape->record({table}, y, [ids, shape = table.shape(), dtype = table.dtype()](const Tensor& dy) {
      Tensor dtable = Tensor::zeros(dy.device(), shape);
      dy.kernels().embedding_backward(ids, dy, dtable);
      return std::vector<Tensor>{dtable.to(dtype)};
    });
  }
  return y;
}

}  // namespace dalle1::ops
