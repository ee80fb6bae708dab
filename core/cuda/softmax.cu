// Softmax and cross entropy: one block per row.
#include "core/cuda/launch.cuh"
#include "core/cuda/numbers.cuh"

namespace dalle1 {
namespace {

using namespace cuda;

__device__ float row_most(const Numbers& row, int64_t columns) {
  float most = -INFINITY;
  for (int64_t i = threadIdx.x; i < columns; i += blockDim.x) most = fmaxf(most, row[i]);
  return block_most(most);
}

__device__ float row_exp_sum(const Numbers& row, int64_t columns, float shift) {
  float sum = 0.0f;
  for (int64_t i = threadIdx.x; i < columns; i += blockDim.x) sum += expf(row[i] - shift);
  return block_sum(sum);
}

__global__ void softmax_kernel(Numbers x, int64_t columns, Numbers y) {
  const Numbers in = x.from(blockIdx.x * columns), out = y.from(blockIdx.x * columns);
  const float largest = row_most(in, columns), inverse = 1.0f / row_exp_sum(in, columns, largest);
  for (int64_t i = threadIdx.x; i < columns; i += blockDim.x) out.set(i, expf(in[i] - largest) * inverse);
}

__global__ void softmax_backward_kernel(Numbers y, Numbers dy, int64_t columns, Numbers dx) {
  const Numbers p = y.from(blockIdx.x * columns), g = dy.from(blockIdx.x * columns),
                out = dx.from(blockIdx.x * columns);
  double dot = 0;
  for (int64_t i = threadIdx.x; i < columns; i += blockDim.x) dot += static_cast<double>(p[i]) * g[i];
  const auto total = static_cast<float>(block_sum(dot));
  for (int64_t i = threadIdx.x; i < columns; i += blockDim.x) out.set(i, p[i] * (g[i] - total));
}

// A target outside its row is reported at the next wait and counts as 0.
__device__ int64_t known_target(int64_t target, int64_t columns, uint64_t* fault) {
  if (target >= 0 && target < columns) return target;
  if (threadIdx.x == 0)
    *fault = static_cast<uint64_t>(target) << 8 | static_cast<uint64_t>(CudaFault::target);
  return 0;
}

__global__ void cross_entropy_kernel(Numbers logits, const int64_t* targets, int64_t columns, Numbers losses,
                                     float* logsumexp, uint64_t* fault) {
  const int64_t row = blockIdx.x;
  const Numbers in = logits.from(row * columns);
  const float largest = row_most(in, columns);
  const float normaliser = largest + logf(row_exp_sum(in, columns, largest));
  const int64_t target = known_target(targets[row], columns, fault);
  if (threadIdx.x != 0) return;
  logsumexp[row] = normaliser;
  losses.set(row, normaliser - in[target]);
}

__global__ void cross_entropy_backward_kernel(Numbers logits, const int64_t* targets, const float* logsumexp,
                                              Numbers scale, int64_t columns, Numbers dlogits,
                                              uint64_t* fault) {
  const int64_t row = blockIdx.x;
  const Numbers in = logits.from(row * columns), out = dlogits.from(row * columns);
  const float factor = scale[row], shift = logsumexp[row];
  const int64_t target = known_target(targets[row], columns, fault);
  for (int64_t i = threadIdx.x; i < columns; i += blockDim.x) {
    const float gradient =
        factor == 0.0f ? 0.0f : factor * expf(in[i] - shift) - (i == target ? factor : 0.0f);
    out.set(i, gradient);
  }
}

struct Rows {
  int64_t columns, rows;
  explicit Rows(const Tensor& x) : columns(x.dim(-1)), rows(columns ? x.numel() / columns : 0) {}
  unsigned blocks() const { return static_cast<unsigned>(rows); }
};

}  // namespace

void CudaKernels::softmax(const Tensor& x, Tensor& y) {
  const Rows shape(x);
  if (shape.rows == 0) return;
  softmax_kernel<<<shape.blocks(), kThreads, 0, device_.stream()>>>(numbers(x), shape.columns, numbers(y));
  launched("softmax");
}

void CudaKernels::softmax_backward(const Tensor& y, const Tensor& dy, Tensor& dx) {
  const Rows shape(y);
  if (shape.rows == 0) return;
  softmax_backward_kernel<<<shape.blocks(), kThreads, 0, device_.stream()>>>(numbers(y), numbers(dy),
                                                                             shape.columns, numbers(dx));
  launched("softmax_backward");
}

void CudaKernels::cross_entropy(const Tensor& logits, const Tensor& targets, Tensor& losses,
                                Tensor& logsumexp) {
  const Rows shape(logits);
  if (shape.rows == 0) return;
  cross_entropy_kernel<<<shape.blocks(), kThreads, 0, device_.stream()>>>(
      numbers(logits), targets.data<int64_t>(), shape.columns, numbers(losses), logsumexp.floats(),
      device_.fault_word());
  launched("cross_entropy");
}

void CudaKernels::cross_entropy_backward(const CrossEntropyBackward& a) {
  const Rows shape(a.logits);
  if (shape.rows == 0) return;
  cross_entropy_backward_kernel<<<shape.blocks(), kThreads, 0, device_.stream()>>>(
      numbers(a.logits), a.targets.data<int64_t>(), a.logsumexp.floats(), numbers(a.scale), shape.columns,
      numbers(a.dlogits), device_.fault_word());
  launched("cross_entropy_backward");
}

}  // namespace dalle1
