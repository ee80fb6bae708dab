// The pieces of tiled attention (Dao et al. 2022) that its kernels share: tiles of 32 positions in shared
// memory, products of tiles, and one step of the online softmax.
//
// bf16 tiles are multiplied by tensor cores, f32 tiles by fused multiply-adds; both add in f32. A block has
// kTileThreads threads and one tile of queries.
#pragma once

#include <cuda_bf16.h>
#include <mma.h>

#include "core/attention/attention_tiles.h"
#include "core/cuda/launch.cuh"
#include "core/cuda/numbers.cuh"

namespace dalle1::cuda {

constexpr int kTile = attention_tile;
constexpr int kTileThreads = 128;
constexpr int kFragment = 16;                      ///< Side of what one tensor-core instruction multiplies.
constexpr int kRowThreads = kTileThreads / kTile;  ///< Threads that share a row in the softmax.
constexpr int kRowColumns = kTile / kRowThreads;   ///< Columns of a tile that each of them has.
constexpr int kScoreStride = kTile + 4;            ///< Of f32 tiles [32, 32]; padded against bank conflicts.
constexpr int kWeightStride = kTile + 8;           ///< Of tiles [32, 32] in the storage type.

__host__ __device__ constexpr int padded_size(int size) {
  return (size + kFragment - 1) / kFragment * kFragment;
}
__host__ __device__ constexpr int row_stride(int size) { return padded_size(size) + 8; }
__host__ __device__ constexpr int sum_stride(int size) { return padded_size(size) + 4; }

/// Hands out parts of a block's shared memory; with a null base it counts the bytes.
class SharedMemory {
 public:
  __host__ __device__ explicit SharedMemory(char* base) : base_(base) {}
  template <typename T>
  __host__ __device__ T* take(int count) {
    T* part = reinterpret_cast<T*>(base_ + bytes_);
    bytes_ += (count * static_cast<int>(sizeof(T)) + 127) / 128 * 128;
    return part;
  }
  __host__ __device__ int bytes() const { return bytes_; }

 private:
  char* base_;
  int bytes_ = 0;
};

template <typename T>
__device__ T stored(float value) {
  if constexpr (sizeof(T) == 2) return __float2bfloat16_rn(value);
  if constexpr (sizeof(T) == 4) return value;
}

/// Rows of one head: row i begins at data + i * stride.
template <typename T>
struct Rows {
  const T* data;
  int64_t stride;
  int size;    ///< D
  bool whole;  ///< Rows are whole, aligned groups of 16 bytes.
};

/// tile [32, row_stride] = the rows at places [first, first + 32) of `order`; zeros beyond `count` and D.
template <typename T>
__device__ void load_tile(const Rows<T>& rows, const int32_t* order, int first, int count, T* tile) {
  constexpr int group = 16 / sizeof(T);
  const int width = padded_size(rows.size), stride = row_stride(rows.size);
  if (rows.whole) {
    const int groups = width / group;
    for (int i = threadIdx.x; i < kTile * groups; i += kTileThreads) {
      const int r = i / groups, d = i % groups * group;
      uint4 values = make_uint4(0, 0, 0, 0);
      if (first + r < count && d < rows.size)
        values = *reinterpret_cast<const uint4*>(rows.data + order[first + r] * rows.stride + d);
      *reinterpret_cast<uint4*>(tile + r * stride + d) = values;
    }
    return;
  }
  for (int i = threadIdx.x; i < kTile * width; i += kTileThreads) {
    const int r = i / width, d = i % width;
    const bool inside = first + r < count && d < rows.size;
    tile[r * stride + d] = inside ? rows.data[order[first + r] * rows.stride + d] : stored<T>(0.0f);
  }
}

/// The rows of the tile at `order`'s places = factor * sums [32, sum_stride].
template <typename T>
__device__ void store_tile(const float* sums, const int32_t* order, int first, int count, float factor,
                           T* data, int64_t stride, int size) {
  for (int i = threadIdx.x; i < kTile * size; i += kTileThreads) {
    const int r = i / size, d = i % size;
    if (first + r < count)
      data[order[first + r] * stride + d] = stored<T>(factor * sums[r * sum_stride(size) + d]);
  }
}

__device__ inline void clear(float* values, int count) {
  for (int i = threadIdx.x; i < count; i += kTileThreads) values[i] = 0.0f;
}

/// A factor of a product in shared memory, stored transposed or not.
template <typename T, bool is_transposed>
struct Factor {
  static constexpr bool transposed = is_transposed;
  const T* data;
  int stride;
  __device__ const T* at(int row, int column) const {
    return data + (transposed ? column * stride + row : row * stride + column);
  }
};

/// c [32, n] = (or +=) a [32, k] b [k, n]; k and n are multiples of 16. The caller synchronises.
template <bool accumulate, bool at, bool bt>
__device__ void multiply(const Factor<float, at>& a, const Factor<float, bt>& b, float* c, int c_stride,
                         int n, int k) {
  constexpr int high = 2, wide = 4;
  const int across = n / wide;
  for (int item = threadIdx.x; item < kTile / high * across; item += kTileThreads) {
    const int row = item / across * high, column = item % across * wide;
    float sums[high][wide] = {};
    for (int i = 0; i < k; ++i) {
      float left[high], right[wide];
#pragma unroll
      for (int y = 0; y < high; ++y) left[y] = *a.at(row + y, i);
#pragma unroll
      for (int x = 0; x < wide; ++x) right[x] = *b.at(i, column + x);
#pragma unroll
      for (int y = 0; y < high; ++y)
#pragma unroll
        for (int x = 0; x < wide; ++x) sums[y][x] = fmaf(left[y], right[x], sums[y][x]);
    }
#pragma unroll
    for (int y = 0; y < high; ++y)
#pragma unroll
      for (int x = 0; x < wide; ++x) {
        float* place = c + (row + y) * c_stride + column + x;
        *place = accumulate ? *place + sums[y][x] : sums[y][x];
      }
  }
}

template <bool accumulate, bool at, bool bt>
__device__ void multiply(const Factor<__nv_bfloat16, at>& a, const Factor<__nv_bfloat16, bt>& b, float* c,
                         int c_stride, int n, int k) {
  namespace wmma = nvcuda::wmma;
  using RowMajor = wmma::row_major;
  using ColumnMajor = wmma::col_major;
  using Left = wmma::fragment<wmma::matrix_a, kFragment, kFragment, kFragment, __nv_bfloat16,
                              std::conditional_t<at, ColumnMajor, RowMajor>>;
  using Right = wmma::fragment<wmma::matrix_b, kFragment, kFragment, kFragment, __nv_bfloat16,
                               std::conditional_t<bt, ColumnMajor, RowMajor>>;
  wmma::fragment<wmma::accumulator, kFragment, kFragment, kFragment, float> sums;
  constexpr int down = kTile / kFragment;
  for (int item = threadIdx.x / kWarp; item < down * n / kFragment; item += kTileThreads / kWarp) {
    const int row = item % down * kFragment, column = item / down * kFragment;
    float* place = c + row * c_stride + column;
    if (accumulate) {
      wmma::load_matrix_sync(sums, place, c_stride, wmma::mem_row_major);
    } else {
      wmma::fill_fragment(sums, 0.0f);
    }
    for (int i = 0; i < k; i += kFragment) {
      Left left;
      Right right;
      wmma::load_matrix_sync(left, a.at(row, i), a.stride);
      wmma::load_matrix_sync(right, b.at(i, column), b.stride);
      wmma::mma_sync(sums, left, right, sums);
    }
    wmma::store_matrix_sync(place, sums, c_stride, wmma::mem_row_major);
  }
}

/// The largest value or the sum over the threads that share a row.
template <typename Combine>
__device__ float row_combine(float value, Combine combine) {
  for (int offset = kRowThreads / 2; offset; offset /= 2)
    value = combine(value, __shfl_xor_sync(kAllLanes, value, offset));
  return value;
}

/// What an online softmax knows of a row; each of the row's threads has it.
struct OnlineRow {
  float largest, total;
};

/// Takes in one tile of scores: weights [32, 32] = exp(scale * scores - largest), 0 where `visible` has no
/// bit; the row's sums are scaled to the new largest score.
template <typename T>
__device__ void absorb_tile(OnlineRow& state, const float* scores, float scale, uint32_t visible, T* weights,
                            float* sums, int size) {
  const int row = threadIdx.x / kRowThreads, part = threadIdx.x % kRowThreads;
  float values[kRowColumns], most = -INFINITY;
#pragma unroll
  for (int j = 0; j < kRowColumns; ++j) {
    const int column = part * kRowColumns + j;
    values[j] = visible >> column & 1u ? scale * scores[row * kScoreStride + column] : -INFINITY;
    most = fmaxf(most, values[j]);
  }
  const float before = state.largest, now = fmaxf(before, row_combine(most, Most{}));
  const float base = now == -INFINITY ? 0.0f : now;  // nothing seen yet: all weights are 0
  float added = 0.0f;
#pragma unroll
  for (int j = 0; j < kRowColumns; ++j) {
    const float weight = expf(values[j] - base);
    weights[row * kWeightStride + part * kRowColumns + j] = stored<T>(weight);
    added += weight;
  }
  const float factor = expf(before - base);  // 0 before the first visible key
  state.total = state.total * factor + row_combine(added, Add{});
  state.largest = now;
  if (factor == 1.0f) return;
  for (int d = part; d < padded_size(size); d += kRowThreads) sums[row * sum_stride(size) + d] *= factor;
}

/// Keys and values of one tile, and what is computed with them.
template <typename T>
struct ForwardMemory {
  T *queries, *keys, *values, *weights;
  float *scores, *sums;
  __host__ __device__ ForwardMemory(SharedMemory& memory, int size)
      : queries(memory.take<T>(kTile * row_stride(size))),
        keys(memory.take<T>(kTile * row_stride(size))),
        values(memory.take<T>(kTile * row_stride(size))),
        weights(memory.take<T>(kTile * kWeightStride)),
        scores(memory.take<float>(kTile * kScoreStride)),
        sums(memory.take<float>(kTile * sum_stride(size))) {}
};

/// One tile of keys: scores, online softmax, weighted values. `visible`: the bits of this thread's row.
/// Keys and values are loaded and synchronised; on return they may be overwritten.
template <typename T>
__device__ void attend_tile(const ForwardMemory<T>& memory, int size, float scale, uint32_t visible,
                            OnlineRow& state) {
  const int width = padded_size(size), stride = row_stride(size);
  multiply<false>(Factor<T, false>{memory.queries, stride}, Factor<T, true>{memory.keys, stride},
                  memory.scores, kScoreStride, kTile, width);
  __syncthreads();
  absorb_tile(state, memory.scores, scale, visible, memory.weights, memory.sums, size);
  __syncthreads();
  multiply<true>(Factor<T, false>{memory.weights, kWeightStride}, Factor<T, false>{memory.values, stride},
                 memory.sums, sum_stride(size), width, kTile);
  __syncthreads();
}

/// Lets a kernel have `bytes` of shared memory; Error(internal) when the device has less.
template <typename Kernel>
void allow_shared_memory(const CudaDevice& device, Kernel kernel, int bytes, int size) {
  const auto most = static_cast<int>(device.properties().sharedMemPerBlockOptin);
  check(bytes <= most, ErrorKind::internal,
        "attention with heads of {} needs {} bytes of shared memory; {} has {}", size, bytes,
        device.properties().name, most);
  require(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes),
          "asking for shared memory");
}

}  // namespace dalle1::cuda
