// Layer normalisation (Ba et al. 2016) and division by the root mean square: one block per row, then columns
// for the gradients of the parameters.
#include "core/cuda/reduce.cuh"

namespace dalle1 {
namespace {

using namespace cuda;

/// A row in groups of four, shared out over the threads of a block.
template <typename Body>
__device__ void for_groups(int64_t width, const Body& body) {
  for (int64_t i = threadIdx.x * kGroup; i < width; i += int64_t{blockDim.x} * kGroup) body(i);
}

/// The sum of term(value, index) over a row.
template <typename Term>
__device__ float row_sum(int64_t width, const Numbers& row, bool whole, const Term& term) {
  float sum = 0.0f;
  for_groups(width, [&](int64_t i) {
    const Group x = row.load(i, width, whole);
#pragma unroll
    for (int k = 0; k < kGroup; ++k)
      if (i + k < width) sum += term(x.values[k], i + k);
  });
  return block_sum(sum);
}

__global__ void layer_norm_kernel(Numbers x, Numbers w, Numbers b, int64_t width, float epsilon, Numbers y,
                                  float* means, float* rstds, bool whole) {
  const int64_t row = blockIdx.x;
  const Numbers in = x.from(row * width), out = y.from(row * width);
  const float m = row_sum(width, in, whole, [](float value, int64_t) { return value; }) / width;
  const float variance =
      row_sum(width, in, whole, [m](float value, int64_t) { return (value - m) * (value - m); }) / width;
  const float r = 1.0f / sqrtf(variance + epsilon);
  for_groups(width, [&](int64_t i) {
    Group group = in.load(i, width, whole);
    const Group weight = w.load(i, width, whole), bias = b.load(i, width, whole);
#pragma unroll
    for (int k = 0; k < kGroup; ++k)
      group.values[k] = (group.values[k] - m) * r * weight.values[k] + bias.values[k];
    out.store(i, width, whole, group);
  });
  if (threadIdx.x == 0) {
    means[row] = m;
    rstds[row] = r;
  }
}

__global__ void layer_norm_backward_kernel(Numbers x, Numbers w, const float* means, const float* rstds,
                                           Numbers dy, int64_t width, Numbers dx, bool whole) {
  const int64_t row = blockIdx.x;
  const Numbers in = x.from(row * width), gradient = dy.from(row * width), out = dx.from(row * width);
  const float m = means[row], r = rstds[row];
  const float sum = row_sum(width, gradient, whole, [&](float g, int64_t i) { return g * w[i]; }) / width;
  const float dot =
      row_sum(width, gradient, whole, [&](float g, int64_t i) { return g * w[i] * (in[i] - m) * r; }) / width;
  for_groups(width, [&](int64_t i) {
    const Group value = in.load(i, width, whole), weight = w.load(i, width, whole);
    Group g = gradient.load(i, width, whole);
#pragma unroll
    for (int k = 0; k < kGroup; ++k)
      g.values[k] = r * (g.values[k] * weight.values[k] - sum - (value.values[k] - m) * r * dot);
    out.store(i, width, whole, g);
  });
}

/// A warp takes one run of `group` elements after the other; every lane gets the sum of term(i) over the run.
template <typename Term>
__device__ float run_sum(int64_t begin, int64_t end, const Term& term) {
  float sum = 0.0f;
  for (int64_t i = begin + threadIdx.x % kWarp; i < end; i += kWarp) sum += term(i);
  return warp_combine(sum, Add{});
}

__global__ void rms_norm_kernel(Numbers x, int64_t width, int64_t group, int64_t columns, float epsilon,
                                Numbers y) {
  const Numbers in = x.from(blockIdx.x * width), out = y.from(blockIdx.x * width);
  const int64_t lane = threadIdx.x % kWarp, stride = blockDim.x / kWarp * group;
  for (int64_t first = threadIdx.x / kWarp * group; first < columns; first += stride) {
    const float squares = run_sum(first, first + group, [&](int64_t i) { return in[i] * in[i]; });
    const float r = 1.0f / sqrtf(squares / static_cast<float>(group) + epsilon);
    for (int64_t i = first + lane; i < first + group; i += kWarp) out.set(i, in[i] * r);
  }
  for (int64_t i = columns + threadIdx.x; i < width; i += blockDim.x) out.set(i, in[i]);
}

__global__ void rms_norm_backward_kernel(Numbers x, Numbers dy, int64_t width, int64_t group, int64_t columns,
                                         float epsilon, Numbers dx) {
  const int64_t row = blockIdx.x * width;
  const Numbers in = x.from(row), g = dy.from(row), out = dx.from(row);
  const int64_t lane = threadIdx.x % kWarp, stride = blockDim.x / kWarp * group;
  for (int64_t first = threadIdx.x / kWarp * group; first < columns; first += stride) {
    const float squares = run_sum(first, first + group, [&](int64_t i) { return in[i] * in[i]; });
    const float dot = run_sum(first, first + group, [&](int64_t i) { return g[i] * in[i]; });
    const float r = 1.0f / sqrtf(squares / static_cast<float>(group) + epsilon);
    const float along = dot * r * r / static_cast<float>(group);
    for (int64_t i = first + lane; i < first + group; i += kWarp) out.set(i, r * (g[i] - in[i] * along));
  }
  for (int64_t i = columns + threadIdx.x; i < width; i += blockDim.x) out.set(i, g[i]);
}

struct WeightGradient {
  Numbers x, dy;
  const float *means, *rstds;
  int64_t width;
  __device__ float operator()(int64_t row, int64_t column) const {
    const int64_t i = row * width + column;
    return dy[i] * (x[i] - means[row]) * rstds[row];
  }
};

struct BiasGradient {
  Numbers dy;
  int64_t width;
  __device__ float operator()(int64_t row, int64_t column) const { return dy[row * width + column]; }
};

}  // namespace

void CudaKernels::layer_norm(const LayerNormArguments& a) {
  const int64_t width = a.w.numel(), rows = a.x.numel() / width;
  if (rows == 0) return;
  const Numbers in = numbers(a.x), weight = numbers(a.w), bias = numbers(a.b), out = numbers(a.y);
  layer_norm_kernel<<<static_cast<unsigned>(rows), kThreads, 0, device_.stream()>>>(
      in, weight, bias, width, a.epsilon, out, a.mean.floats(), a.rstd.floats(),
      whole_groups(width, in, weight, bias, out));
  launched("layer_norm");
}

void CudaKernels::layer_norm_backward(const NormBackward& a) {
  const int64_t width = a.w.numel(), rows = a.x.numel() / width;
  const Numbers in = numbers(a.x), weight = numbers(a.w), gradient = numbers(a.dy), out = numbers(a.dx);
  if (rows > 0) {
    layer_norm_backward_kernel<<<static_cast<unsigned>(rows), kThreads, 0, device_.stream()>>>(
        in, weight, a.mean.floats(), a.rstd.floats(), gradient, width, out,
        whole_groups(width, in, weight, gradient, out));
    launched("layer_norm_backward");
  }
  sum_columns(device_, WeightGradient{in, gradient, a.mean.floats(), a.rstd.floats(), width}, rows, width,
              a.dw);
  sum_columns(device_, BiasGradient{gradient, width}, rows, width, a.db);
}

void CudaKernels::rms_norm(const Tensor& x, const RmsNormRuns& runs, Tensor& y) {
  const int64_t width = x.dim(-1), rows = x.numel() / width;
  if (rows == 0) return;
  rms_norm_kernel<<<static_cast<unsigned>(rows), kThreads, 0, device_.stream()>>>(
      numbers(x), width, runs.group, runs.columns, runs.epsilon, numbers(y));
  launched("rms_norm");
}

void CudaKernels::rms_norm_backward(const Tensor& x, const Tensor& dy, const RmsNormRuns& runs, Tensor& dx) {
  const int64_t width = x.dim(-1), rows = x.numel() / width;
  if (rows == 0) return;
  rms_norm_backward_kernel<<<static_cast<unsigned>(rows), kThreads, 0, device_.stream()>>>(
      numbers(x), numbers(dy), width, runs.group, runs.columns, runs.epsilon, numbers(dx));
  launched("rms_norm_backward");
}

}  // namespace dalle1
