// The gradient of an embedding: dtable[ids[r]] += dy[r]. The rows of an id are added in their order by one
// thread for each column, so the bits are the CPU's.
//
// First a stable counting sort of the rows by id, in chunks: a row's place is where its id begins, plus the
// rows of that id in earlier chunks, plus those before it in its own.
#include "core/cuda/launch.cuh"
#include "core/cuda/numbers.cuh"

namespace dalle1 {
namespace {

using namespace cuda;

constexpr int kChunk = 512;  ///< Rows that a block compares with each other, one a thread.
constexpr int kAhead = 8;    ///< Rows in flight while one sum waits for the other.
constexpr int kColumns = 128;

__device__ bool is_known(int64_t id, int64_t vocabulary) { return id >= 0 && id < vocabulary; }

/// ranks[row] = rows of the same id before it in its chunk; counts [chunks, V], zero before.
__global__ void rank_kernel(const int64_t* ids, int64_t rows, int64_t vocabulary, int32_t* ranks,
                            int32_t* counts, uint64_t* fault) {
  __shared__ int64_t chunk[kChunk];
  const int64_t row = thread_index(), id = row < rows ? ids[row] : -1;
  chunk[threadIdx.x] = id;
  __syncthreads();
  if (row >= rows) return;
  if (!is_known(id, vocabulary)) {
    *fault = static_cast<uint64_t>(id) << 8 | static_cast<uint64_t>(CudaFault::embedding_id);
    return;
  }
  int rank = 0, same = 0;
  for (int i = 0; i < kChunk; ++i) {
    const bool is_same = chunk[i] == id;
    same += is_same;
    rank += is_same && i < static_cast<int>(threadIdx.x);
  }
  ranks[row] = rank;
  if (rank + 1 == same) counts[blockIdx.x * vocabulary + id] = same;
}

/// counts [chunks, V] become those of all earlier chunks; totals [V].
__global__ void add_chunks_kernel(int32_t* counts, int64_t chunks, int64_t vocabulary, int32_t* totals) {
  const int64_t id = thread_index();
  if (id >= vocabulary) return;
  int32_t sum = 0;
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    const int32_t count = counts[chunk * vocabulary + id];
    counts[chunk * vocabulary + id] = sum;
    sum += count;
  }
  totals[id] = sum;
}

/// begins [V + 1]: where each id's rows begin; one block.
__global__ void begins_kernel(const int32_t* totals, int64_t vocabulary, int32_t* begins) {
  __shared__ int32_t sums[kThreads];
  const int64_t share = (vocabulary + kThreads - 1) / kThreads;
  const int64_t first = min(vocabulary, threadIdx.x * share), end = min(vocabulary, first + share);
  int32_t sum = 0;
  for (int64_t id = first; id < end; ++id) sum += totals[id];
  sums[threadIdx.x] = sum;
  __syncthreads();
  int32_t begin = 0;
  for (int i = 0; i < static_cast<int>(threadIdx.x); ++i) begin += sums[i];
  for (int64_t id = first; id < end; ++id) {
    begins[id] = begin;
    begin += totals[id];
  }
  if (threadIdx.x + 1 == kThreads) begins[vocabulary] = begin;
}

__global__ void place_kernel(const int64_t* ids, int64_t rows, int64_t vocabulary, const int32_t* ranks,
                             const int32_t* counts, const int32_t* begins, int32_t* order) {
  const int64_t row = thread_index();
  if (row >= rows || !is_known(ids[row], vocabulary)) return;
  const int64_t id = ids[row];
  order[begins[id] + counts[row / kChunk * vocabulary + id] + ranks[row]] = static_cast<int32_t>(row);
}

__global__ void add_rows_kernel(const int32_t* begins, const int32_t* order, Numbers dy, Numbers dtable,
                                int64_t width) {
  const int64_t id = blockIdx.x, column = int64_t{blockIdx.y} * kColumns + threadIdx.x;
  const int begin = begins[id], end = begins[id + 1];
  if (begin == end || column >= width) return;
  float sum = dtable[id * width + column];
  for (int at = begin; at < end; at += kAhead) {
    float values[kAhead];
#pragma unroll
    for (int i = 0; i < kAhead; ++i)
      if (at + i < end) values[i] = dy[order[at + i] * width + column];
#pragma unroll
    for (int i = 0; i < kAhead; ++i)
      if (at + i < end) sum += values[i];
  }
  dtable.set(id * width + column, sum);
}

}  // namespace

void CudaKernels::embedding_backward(const Tensor& ids, const Tensor& dy, Tensor& dtable) {
  const int64_t rows = ids.numel(), vocabulary = dtable.dim(0), width = dtable.dim(1);
  if (rows == 0 || vocabulary == 0 || width == 0) return;
  check(rows <= INT32_MAX && vocabulary <= INT32_MAX, ErrorKind::internal,
        "the gradient of an embedding of {} rows in a table of {}", rows, vocabulary);
  const int64_t chunks = ceil_div(rows, kChunk);
  const auto integers = [&](const Shape& shape) { return Tensor::empty(device_, shape, DType::i32); };
  const Tensor ranks = integers({rows}), order = integers({rows}), totals = integers({vocabulary}),
               begins = integers({vocabulary + 1}),
               counts = Tensor::zeros(device_, {chunks, vocabulary}, DType::i32);
  const auto at = [](const Tensor& x) { return x.data<int32_t>(); };
  const auto* id = ids.data<int64_t>();
  const cudaStream_t stream = device_.stream();
  rank_kernel<<<static_cast<unsigned>(chunks), kChunk, 0, stream>>>(id, rows, vocabulary, at(ranks),
                                                                    at(counts), device_.fault_word());
  add_chunks_kernel<<<blocks_for(vocabulary), kThreads, 0, stream>>>(at(counts), chunks, vocabulary,
                                                                     at(totals));
  begins_kernel<<<1, kThreads, 0, stream>>>(at(totals), vocabulary, at(begins));
  place_kernel<<<blocks_for(rows), kThreads, 0, stream>>>(id, rows, vocabulary, at(ranks), at(counts),
                                                          at(begins), at(order));
  const dim3 grid(static_cast<unsigned>(vocabulary), static_cast<unsigned>(ceil_div(width, kColumns)));
  add_rows_kernel<<<grid, kColumns, 0, stream>>>(at(begins), at(order), numbers(dy), numbers(dtable), width);
  launched("embedding_backward");
}

}  // namespace dalle1
