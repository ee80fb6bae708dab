#include "core/ops/attention.h"

#include "core/grad/tape.h"
#include "core/ops/kernels.h"

namespace dalle1::ops {

Tensor attention(Context& context, const Tensor& q, const Tensor& k, const Tensor& v,
                 const AttentionPattern& pattern, float scale) {
  check(q.rank() == 4 && k.shape() == v.shape() && q.dim(0) == k.dim(0) && q.dim(2) == k.dim(2) &&
            q.dim(3) == k.dim(3),
        ErrorKind::internal, "attention: q {}, k {}, v {}", q.shape(), k.shape(), v.shape());
  check(pattern.kind == PatternKind::full || (q.dim(1) == k.dim(1) && q.dim(1) <= pattern.length()),
        ErrorKind::internal, "attention: {} queries and {} keys under a pattern of length {}", q.dim(1),
        k.dim(1), pattern.length());
  Tensor y = Tensor::empty(q.device(), q.shape(), q.dtype());
  Tensor logsumexp = Tensor::empty(q.device(), {q.dim(0), q.dim(2), q.dim(1)});
  q.kernels().attention(q, k, v, pattern, scale, y, logsumexp);
  if (context.tape) {
    context.tape->record({q, k, v}, y, [=](const Tensor& dy) {
      Kernels::AttentionGradients gradients{Tensor::empty(q.device(), q.shape(), q.dtype()),
                                            Tensor::empty(k.device(), k.shape(), k.dtype()),
                                            Tensor::empty(v.device(), v.shape(), v.dtype())};
      q.kernels().attention_backward(q, k, v, y, logsumexp, dy, pattern, scale, gradients);
      return std::vector<Tensor>{gradients.dq, gradients.dk, gradients.dv};
    });
  }
  return y;
}

}  // namespace dalle1::ops
