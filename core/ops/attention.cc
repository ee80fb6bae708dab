#include "core/ops/attention.h"

#include <cmath>

#include "core/grad/tape.h"
#include "core/kernels/kernels.h"
#include "core/ops/layout.h"

namespace dalle1::ops {
namespace {

float scale_of(int64_t head_size) { return 1.0f / std::sqrt(static_cast<float>(head_size)); }

}  // namespace

Tensor attention(Context& context, const Tensor& q, const Tensor& k, const Tensor& v,
                 const AttentionPattern& pattern, float scale, DType compute) {
  check(q.rank() == 4 && k.shape() == v.shape() && q.dim(0) == k.dim(0) && q.dim(2) == k.dim(2) &&
            q.dim(3) == k.dim(3),
        ErrorKind::internal, "attention: q {}, k {}, v {}", q.shape(), k.shape(), v.shape());
  check(pattern.kind == PatternKind::full || (q.dim(1) == k.dim(1) && q.dim(1) <= pattern.length()),
        ErrorKind::internal, "attention: {} queries and {} keys under a pattern of length {}", q.dim(1),
        k.dim(1), pattern.length());
  Tensor y = Tensor::empty(q.device(), q.shape(), q.dtype());
  Tensor logsumexp = Tensor::empty(q.device(), {q.dim(0), q.dim(2), q.dim(1)});
  const AttentionOptions options{pattern, scale, compute};
  q.kernels().attention({q, k, v, options, y, logsumexp});
  if (context.tape) {
    context.tape->record({q, k, v}, y, [=](const Tensor& dy) {
      Tensor dq = empty_like(q), dk = empty_like(k), dv = empty_like(v);
      q.kernels().attention_backward({q, k, v, y, logsumexp, dy, options, dq, dk, dv});
      return std::vector<Tensor>{dq, dk, dv};
    });
  }
  return y;
}

Tensor self_attention(Context& context, const Tensor& qkv, int64_t heads, const AttentionPattern& pattern,
                      DType compute) {
  check(qkv.rank() == 3 && qkv.dim(2) % (3 * heads) == 0, ErrorKind::internal,
        "self_attention: {} heads of {}", heads, qkv.shape());
  const int64_t batch = qkv.dim(0), length = qkv.dim(1), width = qkv.dim(2) / 3;
  check(length <= pattern.length(), ErrorKind::internal, "{} positions under a pattern of {}", length,
        pattern.length());
  const AttentionOptions options{pattern, scale_of(width / heads), compute};
  Tensor y = Tensor::empty(qkv.device(), {batch, length, width}, qkv.dtype());
  Tensor logsumexp = Tensor::empty(qkv.device(), {batch, heads, length});
  qkv.kernels().self_attention({qkv, options, y, logsumexp});
  if (context.tape) {
    context.tape->record({qkv}, y, [=](const Tensor& dy) {
      Tensor dqkv = Tensor::empty(qkv.device(), qkv.shape(), qkv.dtype());
      qkv.kernels().self_attention_backward({qkv, y, logsumexp, dy, options, dqkv});
      return std::vector<Tensor>{dqkv};
    });
  }
  return y;
}

Tensor cached_attention(const Tensor& qkv, int64_t heads, std::span<const CachedAttention> groups,
                        int64_t slot) {
  const auto count = static_cast<int64_t>(groups.size());
  check(qkv.rank() == 2 && qkv.dim(0) % count == 0 && qkv.dim(1) % (3 * heads) == 0, ErrorKind::internal,
        "cached_attention: {} heads and {} groups of {}", heads, count, qkv.shape());
  const int64_t rows = qkv.dim(0), candidates = rows / count, size = qkv.dim(1) / (3 * heads);
  Tensor y = Tensor::empty(qkv.device(), {rows, heads, size}, qkv.dtype());
  for (int64_t group = 0; group < count; ++group) {
    const int64_t begin = group * candidates, end = begin + candidates;
    Tensor part = y.rows(begin, end);
    qkv.kernels().attend_step({qkv.rows(begin, end), groups[group], slot, scale_of(size), part});
  }
  return y.view({rows, heads * size});
}

}  // namespace dalle1::ops
