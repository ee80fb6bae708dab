// Pools, upsampling, changes of layout, and what surrounds a convolution.
#include "core/cuda/conv_steps.h"
#include "core/cuda/picture.cuh"
#include "core/cuda/reduce.cuh"

namespace dalle1 {
namespace {

using namespace cuda;

// One thread per value of y.
__global__ void max_pool_kernel(Picture x, Picture y, int64_t count) {
  const int64_t i = thread_index();
  if (i >= count) return;
  const Pixel p(y, i);
  const auto value = [&](int down, int right) {
    return x.numbers[x.at(p.plane, 2 * p.row + down, 2 * p.column + right, p.lane)];
  };
  y.numbers.set(i, fmaxf(fmaxf(value(0, 0), value(0, 1)), fmaxf(value(1, 0), value(1, 1))));
}

// One thread per value of dx; the first maximum of a window takes the gradient, odd borders get 0.
__global__ void max_pool_backward_kernel(Picture x, Picture dy, Picture dx, int64_t count) {
  const int64_t i = thread_index();
  if (i >= count) return;
  const Pixel p(dx, i);
  const int64_t row = p.row / 2, column = p.column / 2;
  if (row >= dy.height || column >= dy.width) return dx.numbers.set(i, 0.0f);
  const int mine = static_cast<int>(p.row % 2 * 2 + p.column % 2);
  float most = -INFINITY;
  int first = 3;  // where nothing compares equal (NaN) the last place takes it, as on the CPU
  for (int place = 3; place >= 0; --place) {
    const float value = x.numbers[x.at(p.plane, 2 * row + place / 2, 2 * column + place % 2, p.lane)];
    if (value >= most) {
      most = value;
      first = place;
    }
  }
  dx.numbers.set(i, mine == first ? dy.numbers[dy.at(p.plane, row, column, p.lane)] : 0.0f);
}

__global__ void avg_pool_kernel(Picture x, int k, Picture y, int64_t count) {
  const int64_t i = thread_index();
  if (i >= count) return;
  const Pixel p(y, i);
  float sum = 0.0f;
  for (int down = 0; down < k; ++down)
    for (int right = 0; right < k; ++right)
      sum += x.numbers[x.at(p.plane, k * p.row + down, k * p.column + right, p.lane)];
  y.numbers.set(i, sum * (1.0f / static_cast<float>(k * k)));
}

__global__ void avg_pool_backward_kernel(Picture dy, int k, Picture dx, int64_t count) {
  const int64_t i = thread_index();
  if (i >= count) return;
  const Pixel p(dx, i);
  const int64_t row = p.row / k, column = p.column / k;
  const bool covered = row < dy.height && column < dy.width;
  const float share = 1.0f / static_cast<float>(k * k);
  dx.numbers.set(i, covered ? share * dy.numbers[dy.at(p.plane, row, column, p.lane)] : 0.0f);
}

__global__ void upsample_kernel(Picture x, Picture y, int64_t count) {
  const int64_t i = thread_index();
  if (i >= count) return;
  const Pixel p(y, i);
  y.numbers.set(i, x.numbers[x.at(p.plane, p.row / 2, p.column / 2, p.lane)]);
}

__global__ void upsample_backward_kernel(Picture dy, Picture dx, int64_t count) {
  const int64_t i = thread_index();
  if (i >= count) return;
  const Pixel p(dx, i);
  const auto value = [&](int down, int right) {
    return dy.numbers[dy.at(p.plane, 2 * p.row + down, 2 * p.column + right, p.lane)];
  };
  dx.numbers.set(i, (value(0, 0) + value(0, 1)) + (value(1, 0) + value(1, 1)));
}

constexpr int kTile = 32, kTileRows = 8;

// y [B, columns, rows] = x [B, rows, columns] transposed, tile by tile through shared memory.
template <typename T>
__global__ void transpose_kernel(const T* x, T* y, int64_t rows, int64_t columns) {
  __shared__ T tile[kTile][kTile + 1];
  const int64_t offset = blockIdx.z * rows * columns;
  const int64_t first_row = int64_t{blockIdx.y} * kTile, first_column = int64_t{blockIdx.x} * kTile;
  for (int r = threadIdx.y; r < kTile; r += kTileRows) {
    const int64_t row = first_row + r, column = first_column + threadIdx.x;
    if (row < rows && column < columns) tile[r][threadIdx.x] = x[offset + row * columns + column];
  }
  __syncthreads();
  for (int r = threadIdx.y; r < kTile; r += kTileRows) {
    const int64_t row = first_row + threadIdx.x, column = first_column + r;
    if (row < rows && column < columns) y[offset + column * rows + row] = tile[threadIdx.x][r];
  }
}

template <typename T>
void transpose(const CudaDevice& device, const Tensor& x, const Tensor& y, int64_t rows, int64_t columns) {
  constexpr int64_t kMostGrid = 65535;  // of a grid's second and third axis
  check(x.dim(0) <= kMostGrid && ceil_div(rows, kTile) <= kMostGrid, ErrorKind::internal,
        "reorder: a batch of {} is too large for one launch", x.shape());
  const dim3 grid(static_cast<unsigned>(ceil_div(columns, kTile)),
                  static_cast<unsigned>(ceil_div(rows, kTile)), static_cast<unsigned>(x.dim(0)));
  transpose_kernel<<<grid, dim3(kTile, kTileRows), 0, device.stream()>>>(
      static_cast<const T*>(x.raw()), static_cast<T*>(y.raw()), rows, columns);
  launched("reorder");
}

__global__ void finish_convolution_kernel(Numbers bias, Numbers residual, float gain, bool relu, Numbers y,
                                          int64_t count, int64_t channels) {
  const int64_t i = thread_index();
  if (i >= count) return;
  float value = y[i];
  if (bias.data) value += bias[i % channels];
  value *= gain;
  if (residual.data) value += residual[i];
  y.set(i, relu && value < 0.0f ? 0.0f : value);
}

struct PixelValue {
  Numbers x;
  int64_t channels;
  __device__ float operator()(int64_t pixel, int64_t channel) const { return x[pixel * channels + channel]; }
};

}  // namespace

namespace cuda {

void finish_convolution(const CudaDevice& device, const Tensor* bias, const Conv2dEpilogue& epilogue,
                        const Tensor& y) {
  if (!bias && !epilogue.residual && epilogue.gain == 1.0f && !epilogue.relu) return;
  const Numbers nothing{nullptr, DType::f32};
  finish_convolution_kernel<<<blocks_for(y.numel()), kThreads, 0, device.stream()>>>(
      bias ? numbers(*bias) : nothing, epilogue.residual ? numbers(*epilogue.residual) : nothing,
      epilogue.gain, epilogue.relu, numbers(y), y.numel(), y.dim(1));
  launched("finishing a convolution");
}

void sum_pixels(CudaDevice& device, const Tensor& x, const Tensor& y) {
  sum_columns(device, PixelValue{numbers(x), x.dim(1)}, x.numel() / x.dim(1), x.dim(1), y);
}

}  // namespace cuda

void CudaKernels::max_pool(const Tensor& x, Tensor& y) {
  const Picture in(x), out(y);
  if (out.count() == 0) return;
  max_pool_kernel<<<blocks_for(out.count()), kThreads, 0, device_.stream()>>>(in, out, out.count());
  launched("max_pool");
}

void CudaKernels::max_pool_backward(const Tensor& x, const Tensor& dy, Tensor& dx) {
  const Picture in(x), gradient(dy), out(dx);
  if (out.count() == 0) return;
  max_pool_backward_kernel<<<blocks_for(out.count()), kThreads, 0, device_.stream()>>>(in, gradient, out,
                                                                                       out.count());
  launched("max_pool_backward");
}

void CudaKernels::avg_pool(const Tensor& x, int k, Tensor& y) {
  const Picture in(x), out(y);
  if (out.count() == 0) return;
  avg_pool_kernel<<<blocks_for(out.count()), kThreads, 0, device_.stream()>>>(in, k, out, out.count());
  launched("avg_pool");
}

void CudaKernels::avg_pool_backward(const Tensor& dy, int k, Tensor& dx) {
  const Picture gradient(dy), out(dx);
  if (out.count() == 0) return;
  avg_pool_backward_kernel<<<blocks_for(out.count()), kThreads, 0, device_.stream()>>>(gradient, k, out,
                                                                                       out.count());
  launched("avg_pool_backward");
}

void CudaKernels::upsample(const Tensor& x, Tensor& y) {
  const Picture in(x), out(y);
  if (out.count() == 0) return;
  upsample_kernel<<<blocks_for(out.count()), kThreads, 0, device_.stream()>>>(in, out, out.count());
  launched("upsample");
}

void CudaKernels::upsample_backward(const Tensor& dy, Tensor& dx) {
  const Picture gradient(dy), out(dx);
  if (out.count() == 0) return;
  upsample_backward_kernel<<<blocks_for(out.count()), kThreads, 0, device_.stream()>>>(gradient, out,
                                                                                       out.count());
  launched("upsample_backward");
}

void CudaKernels::reorder(const Tensor& x, Tensor& y) {
  const Picture from(x), to(y);
  if (from.count() == 0) return;
  if (x.layout() == y.layout()) return device_.copy(y.raw(), x.raw(), x.bytes());
  const int64_t channels = x.dim(1), pixels = x.dim(2) * x.dim(3);
  const bool plain = x.layout() == Layout::plain;
  const int64_t rows = plain ? channels : pixels, columns = plain ? pixels : channels;
  if (size_of(x.dtype()) == 4) return transpose<uint32_t>(device_, x, y, rows, columns);
  transpose<uint16_t>(device_, x, y, rows, columns);
}

}  // namespace dalle1
