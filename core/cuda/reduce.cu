#include "core/cuda/reduce.cuh"

#include <numeric>

namespace dalle1 {
namespace {

using namespace cuda;

constexpr int64_t kMostParts = 1024;

// partial[block] = the sum of x or of x^2 over every parts-th place.
__global__ void sum_parts_kernel(Numbers x, int64_t n, bool squares, double* partial) {
  double sum = 0;
  for (int64_t i = thread_index(); i < n; i += int64_t{gridDim.x} * blockDim.x) {
    const double value = x[i];
    sum += squares ? value * value : value;
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

__global__ void add_parts_kernel(const double* partial, int parts, double* total) {
  double sum = 0;
  for (int i = threadIdx.x; i < parts; i += blockDim.x) sum += partial[i];
  sum = block_sum(sum);
  if (threadIdx.x == 0) *total = sum;
}

__global__ void store_total_kernel(const double* total, Numbers y) { y.set(0, static_cast<float>(*total)); }

// sum f64 [1] on the device = the sum of all of x, or of its squares, in double.
void total(CudaDevice& device, const Tensor& x, bool squares, const Tensor& sum) {
  const int64_t n = x.storage_numel();
  const auto parts = static_cast<int>(std::clamp<int64_t>(ceil_div(n, 8 * kThreads), 1, kMostParts));
  const Tensor partial = Tensor::empty(device, {parts}, DType::f64);
  sum_parts_kernel<<<parts, kThreads, 0, device.stream()>>>(numbers(x), n, squares, partial.data<double>());
  add_parts_kernel<<<1, kThreads, 0, device.stream()>>>(partial.data<double>(), parts, sum.data<double>());
  launched("sum");
}

struct Value {
  Numbers x;
  int64_t columns;
  __device__ float operator()(int64_t row, int64_t column) const { return x[row * columns + column]; }
};

struct Best {
  float value;
  int64_t index;
};

// The largest value; of equals the first.
struct Better {
  __device__ Best operator()(const Best& a, const Best& b) const {
    return b.value > a.value || (b.value == a.value && b.index < a.index) ? b : a;
  }
};

__global__ void max_last_kernel(Numbers x, int64_t columns, Numbers values, int64_t* indices) {
  const int64_t row = blockIdx.x;
  Best best{-INFINITY, INT64_MAX};
  for (int64_t i = threadIdx.x; i < columns; i += blockDim.x) {
    const Best candidate{x[row * columns + i], i};
    best = Better{}(best, candidate);
  }
  __shared__ Best bests[kThreads];
  bests[threadIdx.x] = best;
  for (int half = kThreads / 2; half; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) bests[threadIdx.x] = Better{}(bests[threadIdx.x], bests[threadIdx.x + half]);
  }
  if (threadIdx.x != 0) return;
  values.set(row, bests[0].value);
  indices[row] = bests[0].index == INT64_MAX ? 0 : bests[0].index;  // a row of NaN has no largest
}

__global__ void not_finite_kernel(Numbers x, int64_t n, int* found) {
  for (int64_t i = thread_index(); i < n; i += int64_t{gridDim.x} * blockDim.x)
    if (!isfinite(x[i])) *found = 1;
}

}  // namespace

void CudaKernels::sum_to(const Tensor& x, Tensor& y) {
  const Shape &from = x.shape(), &to = y.shape();
  if (y.numel() == 0) return;
  if (y.numel() == 1) {
    const Tensor sum = Tensor::empty(device_, {1}, DType::f64);
    total(device_, x, false, sum);
    store_total_kernel<<<1, 1, 0, device_.stream()>>>(sum.data<double>(), numbers(y));
    return launched("sum_to");
  }
  const int rank = from.rank();
  int64_t leading = 1, trailing = 1;
  int first = 0;  // y = [1.., kept]: the gradient of a bias
  while (first < rank && to[first] == 1) leading *= from[first++];
  bool keeps_tail = true;
  for (int i = first; i < rank; ++i) keeps_tail &= from[i] == to[i], trailing *= from[i];
  if (keeps_tail) return sum_columns(device_, Value{numbers(x), trailing}, leading, trailing, y);
  StridedCopy copy;
  copy.extents = from.extents();
  copy.strides_x = from.strides();
  copy.strides_y = to.strides();
  for (int i = 0; i < rank; ++i) {
    if (to[i] == 1) copy.strides_y[i] = 0;
  }
  add_strided(device_, copy, x, y, true);
}

void CudaKernels::max_last(const Tensor& x, Tensor& values, Tensor& indices) {
  const int64_t columns = x.dim(-1), rows = columns ? x.numel() / columns : 0;
  if (rows == 0) return;
  max_last_kernel<<<static_cast<unsigned>(rows), kThreads, 0, device_.stream()>>>(
      numbers(x), columns, numbers(values), indices.data<int64_t>());
  launched("max_last");
}

double CudaKernels::sum_squares(std::span<const Tensor> tensors) {
  const auto count = static_cast<int64_t>(tensors.size());
  const Tensor sums = Tensor::empty(device_, {count}, DType::f64);
  for (int64_t i = 0; i < count; ++i) total(device_, tensors[i], true, sums.rows(i, i + 1));
  std::vector<double> values(tensors.size());
  device_.copy_to_host(values.data(), sums.raw(), sums.bytes());
  return std::accumulate(values.begin(), values.end(), 0.0);
}

bool CudaKernels::all_finite(const Tensor& x) {
  const int64_t n = x.storage_numel();
  if (n == 0) return true;
  const Tensor found = Tensor::zeros(device_, {1}, DType::i32);
  const unsigned blocks = static_cast<unsigned>(std::min<int64_t>(ceil_div(n, 8 * kThreads), kMostParts));
  not_finite_kernel<<<blocks, kThreads, 0, device_.stream()>>>(numbers(x), n, found.data<int>());
  launched("all_finite");
  int value = 0;
  device_.copy_to_host(&value, found.raw(), sizeof value);
  return value == 0;
}

}  // namespace dalle1
