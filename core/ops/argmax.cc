#include "core/ops/argmax.h"

#include <algorithm>

#include "core/kernels/kernels.h"

namespace dalle1::ops {
namespace {

Argmax empty_argmax(const Tensor& x) {
  return {Tensor::empty(x.device(), {x.dim(0)}), Tensor::empty(x.device(), {x.dim(0)}, DType::i64)};
}

}  // namespace

Argmax argmax(const Tensor& x) {
  check(x.rank() == 2, ErrorKind::internal, "argmax: x {}", x.shape());
  Argmax result = empty_argmax(x);
  x.kernels().max_last(x, result.values, result.indices);
  return result;
}

Argmax linear_argmax(const Tensor& x, const Tensor& w, const Tensor& bias) {
  constexpr int64_t at_once = 128;
  check(x.rank() == 2 && w.rank() == 2 && x.dim(1) == w.dim(1) && bias.numel() == w.dim(0),
        ErrorKind::internal, "linear_argmax: x {} with weights {} and bias {}", x.shape(), w.shape(),
        bias.shape());
  const Argmax result = empty_argmax(x);
  for (int64_t begin = 0; begin < x.dim(0); begin += at_once) {
    const int64_t end = std::min(x.dim(0), begin + at_once);
    Tensor logits = Tensor::empty(x.device(), {end - begin, w.dim(0)});
    x.kernels().linear({x.rows(begin, end), w, &bias, logits});
    Tensor values = result.values.rows(begin, end), indices = result.indices.rows(begin, end);
    x.kernels().max_last(logits, values, indices);
  }
  return result;
}

bool all_finite(const Tensor& x) { return x.kernels().all_finite(x); }

}  // namespace dalle1::ops
