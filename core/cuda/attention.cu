// Attention over whole sequences: one block per tile of queries of a head; it visits the tiles of keys that
// the pattern names, in order.
#include "core/cuda/attention_plans.h"
#include "core/cuda/attention_tiles.cuh"

namespace dalle1 {
namespace {

using namespace cuda;

/// [B, T, H, D] seen as B * H heads.
struct Heads {
  int64_t heads, queries, keys;
  int size;
  __device__ int64_t stride() const { return heads * size; }
  __device__ int64_t query_offset(int64_t head) const {
    return (head / heads * queries * heads + head % heads) * size;
  }
  __device__ int64_t key_offset(int64_t head) const {
    return (head / heads * keys * heads + head % heads) * size;
  }
};

Heads heads_of(const Tensor& q, const Tensor& k) {
  return {q.dim(2), q.dim(1), k.dim(1), static_cast<int>(q.dim(3))};
}

template <typename T>
__global__ void __launch_bounds__(kTileThreads)
    attention_kernel(cpu::AttentionTiles plan, Heads heads, const T* q, const T* k, const T* v, float scale,
                     T* y, float* logsumexp, bool whole) {
  extern __shared__ __align__(128) char base[];
  SharedMemory shared(base);
  const ForwardMemory<T> memory(shared, heads.size);
  const int query_tile = blockIdx.x, first = query_tile * kTile, row = threadIdx.x / kRowThreads;
  const int64_t head = blockIdx.y;
  const Rows<T> keys{k + heads.key_offset(head), heads.stride(), heads.size, whole};
  const Rows<T> values{v + heads.key_offset(head), heads.stride(), heads.size, whole};
  load_tile(Rows<T>{q + heads.query_offset(head), heads.stride(), heads.size, whole}, plan.query_order, first,
            plan.queries, memory.queries);
  clear(memory.sums, kTile * sum_stride(heads.size));
  OnlineRow state{-INFINITY, 0.0f};
  for (int at = plan.begin[query_tile]; at < plan.begin[query_tile + 1]; ++at) {
    const cpu::AttentionVisit visit = plan.visits[at];
    load_tile(keys, plan.key_order, visit.key_tile * kTile, plan.keys, memory.keys);
    load_tile(values, plan.key_order, visit.key_tile * kTile, plan.keys, memory.values);
    __syncthreads();
    const uint32_t visible = visit.mask < 0 ? ~0u : plan.masks[visit.mask * kTile + row];
    attend_tile(memory, heads.size, scale, visible, state);
  }
  // Each row's threads divide what they have of it.
  const int part = threadIdx.x % kRowThreads;
  if (first + row >= plan.queries) return;
  const int32_t position = plan.query_order[first + row];
  T* out = y + heads.query_offset(head) + position * heads.stride();
  for (int d = part; d < heads.size; d += kRowThreads)
    out[d] = stored<T>(memory.sums[row * sum_stride(heads.size) + d] / state.total);
  if (part == 0) logsumexp[head * heads.queries + position] = state.largest + logf(state.total);
}

template <typename T>
void run(const CudaDevice& device, const DevicePlan& plan, const Tensor& q, const Tensor& k, const Tensor& v,
         float scale, const Tensor& y, const Tensor& logsumexp) {
  const Heads heads = heads_of(q, k);
  SharedMemory count(nullptr);
  const ForwardMemory<T> memory(count, heads.size);
  allow_shared_memory(device, attention_kernel<T>, count.bytes(), heads.size);
  const dim3 grid(static_cast<unsigned>(plan.query_tiles), static_cast<unsigned>(q.dim(0) * heads.heads));
  const auto at = [](const Tensor& x) { return static_cast<T*>(x.raw()); };
  attention_kernel<T><<<grid, kTileThreads, count.bytes(), device.stream()>>>(
      plan.tiles, heads, at(q), at(k), at(v), scale, at(y), logsumexp.floats(),
      whole_rows<T>(q) && whole_rows<T>(k) && whole_rows<T>(v));
  launched("attention");
}

/// delta[b, h, t] = the sum of y dy over D: one warp per row.
__global__ void delta_kernel(Numbers y, Numbers dy, Heads heads, int64_t rows, float* delta) {
  const int64_t i = thread_index() / kWarp, lane = threadIdx.x % kWarp;
  if (i >= rows) return;
  const int64_t head = i / heads.queries, position = i % heads.queries;
  const int64_t offset =
      (head / heads.heads * heads.queries * heads.heads + position * heads.heads + head % heads.heads) *
      heads.size;
  float sum = 0.0f;
  for (int64_t d = lane; d < heads.size; d += kWarp) sum += y[offset + d] * dy[offset + d];
  sum = warp_combine(sum, Add{});
  if (lane == 0) delta[i] = sum;
}

/// Shared memory of a backward block: the tiles of both sides and what is computed of a pair of them.
template <typename T>
struct BackwardMemory {
  T *queries, *dy, *keys, *values, *weights, *slopes;
  float *scores, *products, *first_sums, *second_sums;
  __host__ __device__ BackwardMemory(SharedMemory& memory, int size)
      : queries(memory.take<T>(kTile * row_stride(size))),
        dy(memory.take<T>(kTile * row_stride(size))),
        keys(memory.take<T>(kTile * row_stride(size))),
        values(memory.take<T>(kTile * row_stride(size))),
        weights(memory.take<T>(kTile * kWeightStride)),
        slopes(memory.take<T>(kTile * kWeightStride)),
        scores(memory.take<float>(kTile * kScoreStride)),
        products(memory.take<float>(kTile * kScoreStride)),
        first_sums(memory.take<float>(kTile * sum_stride(size))),
        second_sums(memory.take<float>(kTile * sum_stride(size))) {}
};

/// What the gradients of one call are computed from.
template <typename T>
struct BackwardInput {
  const T *q, *k, *v, *dy;
  const float *logsumexp, *delta;
  float scale;
  bool whole;
};

/// weights = exp(scale * q k^T - logsumexp) and slopes = weights * (dy v^T - delta) of a pair of tiles, 0
/// where the row's bits hide a key. Ends synchronised.
template <typename T>
__device__ void differentiate(const BackwardMemory<T>& memory, int size, float scale, float logsumexp,
                              float delta, uint32_t visible) {
  const int width = padded_size(size), stride = row_stride(size);
  multiply<false>(Factor<T, false>{memory.queries, stride}, Factor<T, true>{memory.keys, stride},
                  memory.scores, kScoreStride, kTile, width);
  multiply<false>(Factor<T, false>{memory.dy, stride}, Factor<T, true>{memory.values, stride},
                  memory.products, kScoreStride, kTile, width);
  __syncthreads();
  const int row = threadIdx.x / kRowThreads, part = threadIdx.x % kRowThreads;
#pragma unroll
  for (int j = 0; j < kRowColumns; ++j) {
    const int column = part * kRowColumns + j, place = row * kScoreStride + column;
    const float weight = visible >> column & 1u ? expf(scale * memory.scores[place] - logsumexp) : 0.0f;
    memory.weights[row * kWeightStride + column] = stored<T>(weight);
    memory.slopes[row * kWeightStride + column] = stored<T>(weight * (memory.products[place] - delta));
  }
  __syncthreads();
}

/// A row's logsumexp and delta; 0 for places beyond the queries, whose dy is 0 too.
__device__ float row_value(const float* values, const cpu::AttentionTiles& plan, const Heads& heads,
                           int64_t head, int place) {
  return place < plan.queries ? values[head * heads.queries + plan.query_order[place]] : 0.0f;
}

template <typename T>
__global__ void __launch_bounds__(kTileThreads)
    query_gradient_kernel(cpu::AttentionTiles plan, Heads heads, BackwardInput<T> in, T* dq) {
  extern __shared__ __align__(128) char base[];
  SharedMemory shared(base);
  const BackwardMemory<T> memory(shared, heads.size);
  const int query_tile = blockIdx.x, first = query_tile * kTile, row = threadIdx.x / kRowThreads;
  const int64_t head = blockIdx.y, stride = heads.stride();
  const int size = heads.size;
  load_tile(Rows<T>{in.q + heads.query_offset(head), stride, size, in.whole}, plan.query_order, first,
            plan.queries, memory.queries);
  load_tile(Rows<T>{in.dy + heads.query_offset(head), stride, size, in.whole}, plan.query_order, first,
            plan.queries, memory.dy);
  clear(memory.first_sums, kTile * sum_stride(size));
  const float logsumexp = row_value(in.logsumexp, plan, heads, head, first + row);
  const float delta = row_value(in.delta, plan, heads, head, first + row);
  for (int at = plan.begin[query_tile]; at < plan.begin[query_tile + 1]; ++at) {
    const cpu::AttentionVisit visit = plan.visits[at];
    load_tile(Rows<T>{in.k + heads.key_offset(head), stride, size, in.whole}, plan.key_order,
              visit.key_tile * kTile, plan.keys, memory.keys);
    load_tile(Rows<T>{in.v + heads.key_offset(head), stride, size, in.whole}, plan.key_order,
              visit.key_tile * kTile, plan.keys, memory.values);
    __syncthreads();
    const uint32_t visible = visit.mask < 0 ? ~0u : plan.masks[visit.mask * kTile + row];
    differentiate(memory, size, in.scale, logsumexp, delta, visible);
    multiply<true>(Factor<T, false>{memory.slopes, kWeightStride},
                   Factor<T, false>{memory.keys, row_stride(size)}, memory.first_sums, sum_stride(size),
                   padded_size(size), kTile);
    __syncthreads();
  }
  store_tile(memory.first_sums, plan.query_order, first, plan.queries, in.scale,
             dq + heads.query_offset(head), stride, size);
}

template <typename T>
__global__ void __launch_bounds__(kTileThreads)
    key_gradient_kernel(cpu::AttentionTiles plan, const int32_t* key_begin,
                        const cpu::AttentionVisit* key_visits, Heads heads, BackwardInput<T> in, T* dk,
                        T* dv) {
  extern __shared__ __align__(128) char base[];
  SharedMemory shared(base);
  const BackwardMemory<T> memory(shared, heads.size);
  const int key_tile = blockIdx.x, first = key_tile * kTile, row = threadIdx.x / kRowThreads;
  const int64_t head = blockIdx.y, stride = heads.stride();
  const int size = heads.size, width = padded_size(size);
  load_tile(Rows<T>{in.k + heads.key_offset(head), stride, size, in.whole}, plan.key_order, first, plan.keys,
            memory.keys);
  load_tile(Rows<T>{in.v + heads.key_offset(head), stride, size, in.whole}, plan.key_order, first, plan.keys,
            memory.values);
  clear(memory.first_sums, kTile * sum_stride(size));
  clear(memory.second_sums, kTile * sum_stride(size));
  for (int at = key_begin[key_tile]; at < key_begin[key_tile + 1]; ++at) {
    const cpu::AttentionVisit visit = key_visits[at];
    const int query = visit.key_tile * kTile;
    load_tile(Rows<T>{in.q + heads.query_offset(head), stride, size, in.whole}, plan.query_order, query,
              plan.queries, memory.queries);
    load_tile(Rows<T>{in.dy + heads.query_offset(head), stride, size, in.whole}, plan.query_order, query,
              plan.queries, memory.dy);
    __syncthreads();
    const uint32_t visible = visit.mask < 0 ? ~0u : plan.masks[visit.mask * kTile + row];
    differentiate(memory, size, in.scale, row_value(in.logsumexp, plan, heads, head, query + row),
                  row_value(in.delta, plan, heads, head, query + row), visible);
    multiply<true>(Factor<T, true>{memory.slopes, kWeightStride},
                   Factor<T, false>{memory.queries, row_stride(size)}, memory.first_sums, sum_stride(size),
                   width, kTile);
    multiply<true>(Factor<T, true>{memory.weights, kWeightStride},
                   Factor<T, false>{memory.dy, row_stride(size)}, memory.second_sums, sum_stride(size), width,
                   kTile);
    __syncthreads();
  }
  __syncthreads();  // a tile that no query sees has visited nothing
  store_tile(memory.first_sums, plan.key_order, first, plan.keys, in.scale, dk + heads.key_offset(head),
             stride, size);
  store_tile(memory.second_sums, plan.key_order, first, plan.keys, 1.0f, dv + heads.key_offset(head), stride,
             size);
}

template <typename T>
void run_backward(const CudaDevice& device, const DevicePlan& plan, const Heads& heads, int64_t batch,
                  const BackwardInput<T>& in, Kernels::AttentionGradients& gradients) {
  SharedMemory count(nullptr);
  const BackwardMemory<T> memory(count, heads.size);
  allow_shared_memory(device, query_gradient_kernel<T>, count.bytes(), heads.size);
  allow_shared_memory(device, key_gradient_kernel<T>, count.bytes(), heads.size);
  const auto all_heads = static_cast<unsigned>(batch * heads.heads);
  const auto at = [](const Tensor& x) { return static_cast<T*>(x.raw()); };
  if (plan.query_tiles > 0)
    query_gradient_kernel<T><<<dim3(static_cast<unsigned>(plan.query_tiles), all_heads), kTileThreads,
                               count.bytes(), device.stream()>>>(plan.tiles, heads, in, at(gradients.dq));
  key_gradient_kernel<T><<<dim3(static_cast<unsigned>(plan.tiles.key_tiles), all_heads), kTileThreads,
                           count.bytes(), device.stream()>>>(plan.tiles, plan.key_begin, plan.key_visits,
                                                             heads, in, at(gradients.dk), at(gradients.dv));
  launched("attention_backward");
}

// The types that the tiles come in.
bool is_bf16(const Tensor& q, const Tensor& k, const Tensor& v) {
  check((q.dtype() == DType::f32 || q.dtype() == DType::bf16) && k.dtype() == q.dtype() &&
            v.dtype() == q.dtype(),
        ErrorKind::internal, "CUDA attention of {}, {} and {}", name_of(q.dtype()), name_of(k.dtype()),
        name_of(v.dtype()));
  check(q.dim(0) * q.dim(2) <= 65535, ErrorKind::internal, "attention with {} heads in all",
        q.dim(0) * q.dim(2));
  return q.dtype() == DType::bf16;
}

}  // namespace

void CudaKernels::attention(const Tensor& q, const Tensor& k, const Tensor& v,
                            const AttentionPattern& pattern, float scale, Tensor& y, Tensor& logsumexp) {
  if (y.numel() == 0) return;
  if (!attention_plans_) attention_plans_ = std::make_shared<AttentionPlans>();
  const DevicePlan& plan = attention_plans_->find(device_, pattern, q.dim(1), k.dim(1));
  if (is_bf16(q, k, v)) return run<__nv_bfloat16>(device_, plan, q, k, v, scale, y, logsumexp);
  run<float>(device_, plan, q, k, v, scale, y, logsumexp);
}

void CudaKernels::attention_backward(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& y,
                                     const Tensor& logsumexp, const Tensor& dy,
                                     const AttentionPattern& pattern, float scale,
                                     AttentionGradients& gradients) {
  if (k.numel() == 0) return;
  if (!attention_plans_) attention_plans_ = std::make_shared<AttentionPlans>();
  const DevicePlan& plan = attention_plans_->find(device_, pattern, q.dim(1), k.dim(1));
  const Heads heads = heads_of(q, k);
  const Tensor delta = Tensor::empty(device_, logsumexp.shape()), gradient = dy.to(q.dtype());
  if (delta.numel() > 0) {
    delta_kernel<<<blocks_for(delta.numel() * kWarp), kThreads, 0, device_.stream()>>>(
        numbers(y), numbers(gradient), heads, delta.numel(), delta.floats());
    launched("attention_backward");
  }
  const auto differentiate_as = [&](auto type) {
    using T = decltype(type);
    const auto at = [](const Tensor& x) { return static_cast<const T*>(x.raw()); };
    const bool whole = whole_rows<T>(q) && whole_rows<T>(k) && whole_rows<T>(v) && whole_rows<T>(gradient);
    const BackwardInput<T> in{at(q),          at(k), at(v), at(gradient), logsumexp.floats(),
                              delta.floats(), scale, whole};
    run_backward<T>(device_, plan, heads, q.dim(0), in, gradients);
  };
  if (is_bf16(q, k, v)) return differentiate_as(__nv_bfloat16{});
  differentiate_as(float{});
}

}  // namespace dalle1
