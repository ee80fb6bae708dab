// Sums over rows and strided places, used by several families.
#pragma once

#include "core/cuda/launch.cuh"
#include "core/cuda/numbers.cuh"

namespace dalle1::cuda {

/// y at its places = (or +=, unless `replace`) the sum of the terms of x that the walk brings there.
void add_strided(const CudaDevice& device, const Kernels::StridedCopy& copy, const Tensor& x, const Tensor& y,
                 bool replace);

constexpr int kColumnsAtOnce = 32, kRowsAtOnce = 8;

/// partial[slice][column] = the sum of term(row, column) over the rows of a slice.
template <typename Term>
__global__ void column_slices_kernel(Term term, int64_t rows, int64_t columns, int64_t rows_per_slice,
                                     float* partial) {
  __shared__ float sums[kRowsAtOnce][kColumnsAtOnce];
  const int64_t column = int64_t{blockIdx.x} * kColumnsAtOnce + threadIdx.x;
  const int64_t begin = blockIdx.y * rows_per_slice, end = min(rows, begin + rows_per_slice);
  float sum = 0.0f;
  if (column < columns)
    for (int64_t row = begin + threadIdx.y; row < end; row += kRowsAtOnce) sum += term(row, column);
  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || column >= columns) return;
  for (int i = 1; i < kRowsAtOnce; ++i) sum += sums[i][threadIdx.x];
  partial[blockIdx.y * columns + column] = sum;
}

static __global__ void add_slices_kernel(const float* partial, int64_t slices, int64_t columns, Numbers y) {
  const int64_t column = thread_index();
  if (column >= columns) return;
  float sum = 0.0f;
  for (int64_t slice = 0; slice < slices; ++slice) sum += partial[slice * columns + column];
  y.set(column, sum);
}

/// y[column] = the sum of term(row, column) over all rows, in an order that depends on the shape alone.
template <typename Term>
void sum_columns(CudaDevice& device, const Term& term, int64_t rows, int64_t columns, const Tensor& y) {
  if (columns == 0) return;
  constexpr int64_t kLeastRows = 64, kMostSlices = 256;
  const int64_t slices = std::clamp<int64_t>(rows / kLeastRows, 1, kMostSlices);
  Tensor partial = Tensor::empty(device, {slices, columns});
  const dim3 grid(static_cast<unsigned>(ceil_div(columns, kColumnsAtOnce)), static_cast<unsigned>(slices));
  column_slices_kernel<<<grid, dim3(kColumnsAtOnce, kRowsAtOnce), 0, device.stream()>>>(
      term, rows, columns, ceil_div(rows, slices), partial.floats());
  add_slices_kernel<<<blocks_for(columns), kThreads, 0, device.stream()>>>(partial.floats(), slices, columns,
                                                                           numbers(y));
  launched("sum over rows");
}

}  // namespace dalle1::cuda
