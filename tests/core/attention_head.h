// One head of attention through the kernels of one instruction set.
#pragma once

#include <algorithm>
#include <vector>

#include "core/attention/attention_plan.h"
#include "core/cpu/attention_kernels.h"
#include "core/tensor/tensor.h"
#include "tests/support/random_values.h"

namespace dalle1 {

/// One head's results: y, dq, dk, dv, logsumexp.
inline std::vector<std::vector<float>> attend_head(const cpu::AttentionKernels& kernels,
                                                   const AttentionPlan& plan, int32_t length, int32_t size) {
  const auto q = random_values(length * size, 1), k = random_values(length * size, 2);
  const auto v = random_values(length * size, 3), dy = random_values(length * size, 4);
  std::vector<std::vector<float>> out(4, std::vector<float>(length * size));
  std::vector<float> logsumexp(length);
  cpu::AttentionHead head;
  head.q = q.data(), head.k = k.data(), head.v = v.data(), head.y = out[0].data();
  head.logsumexp = logsumexp.data();
  head.stride = head.y_stride = head.size = size;
  head.scale = 0.2f;
  const int64_t floats = std::max(kernels.forward_scratch(plan.key_tiles(), size),
                                  kernels.backward_scratch(plan.key_tiles(), size));
  const auto device = make_cpu_device(1, true);
  const Tensor scratch = Tensor::empty(*device, {floats});
  kernels.forward(plan.tiles(), head, 0, plan.query_tiles(), scratch.floats());
  kernels.backward(plan.tiles(), head, {dy.data(), out[1].data(), out[2].data(), out[3].data()},
                   scratch.floats());
  out.push_back(logsumexp);
  return out;
}

}  // namespace dalle1
