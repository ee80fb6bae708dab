#include "tools/bench/bench_attention.h"

#include "core/grad/tape.h"
#include "core/ops/attention.h"

namespace dalle1::tools {

void attention_pass(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& dy,
                    const AttentionPattern& pattern, DType compute) {
  Tape tape;
  for (const Tensor& input : {q, k, v}) tape.watch(input);
  Context context(q.device(), &tape);
  tape.backward(ops::attention(context, q, k, v, pattern, 0.125f, compute), dy);
}

}  // namespace dalle1::tools
