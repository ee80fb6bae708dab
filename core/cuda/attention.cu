// Attention over whole sequences: one block per tile of queries of a head; it visits the tiles of keys that
// the pattern names, in order.
#include "core/cuda/attention_plans.h"
#include "core/cuda/attention_tiles.cuh"

namespace dalle1 {
namespace {

using namespace cuda;

/// [B, T, H, D] seen as B * H heads. Rows of q, k, v and of their gradients begin every `stride` elements:
/// H D, or 3 H D where they are thirds of one tensor. Those of y and dy are whole.
struct Heads {
  int64_t batch, heads, queries, keys;
  int size;
  int64_t stride;
  __device__ int64_t offset(int64_t head, int64_t rows, int64_t row_stride) const {
    return head / heads * rows * row_stride + head % heads * size;
  }
  __device__ int64_t query_offset(int64_t head) const { return offset(head, queries, stride); }
  __device__ int64_t key_offset(int64_t head) const { return offset(head, keys, stride); }
  __device__ int64_t y_stride() const { return heads * size; }
  __device__ int64_t y_offset(int64_t head) const { return offset(head, queries, y_stride()); }
};

Heads heads_of(const Tensor& q, const Tensor& k) {
  return {q.dim(0), q.dim(2), q.dim(1), k.dim(1), static_cast<int>(q.dim(3)), q.dim(2) * q.dim(3)};
}

/// Of qkv [B, T, 3 H D].
Heads heads_of_thirds(const Tensor& qkv, int64_t heads) {
  const int64_t width = qkv.dim(2) / 3;
  return {qkv.dim(0), heads, qkv.dim(1), qkv.dim(1), static_cast<int>(width / heads), 3 * width};
}

/// Where q, k and v, or their gradients, begin.
struct Thirds {
  void *q, *k, *v;
  DType type;
};

Thirds thirds_of(const Tensor& qkv) {
  const auto width = static_cast<size_t>(qkv.dim(2) / 3) * size_of(qkv.dtype());
  char* first = static_cast<char*>(qkv.raw());
  return {first, first + width, first + 2 * width, qkv.dtype()};
}

Thirds thirds_of(const Tensor& q, const Tensor& k, const Tensor& v) {
  check(k.dtype() == q.dtype() && v.dtype() == q.dtype(), ErrorKind::internal,
        "CUDA attention of {}, {} and {}", name_of(q.dtype()), name_of(k.dtype()), name_of(v.dtype()));
  return {q.raw(), k.raw(), v.raw(), q.dtype()};
}

/// Whether rows of D values can be moved 16 bytes at a time.
bool whole_rows(const Thirds& in, const Heads& heads) {
  const auto aligned = [](const void* data) { return reinterpret_cast<uintptr_t>(data) % 16 == 0; };
  return aligned(in.q) && aligned(in.k) && aligned(in.v) && heads.size * size_of(in.type) % 16 == 0;
}

template <typename T>
__global__ void __launch_bounds__(kTileThreads)
    attention_kernel(AttentionTiles plan, Heads heads, const T* q, const T* k, const T* v, float scale, T* y,
                     float* logsumexp, bool whole) {
  extern __shared__ __align__(128) char base[];
  SharedMemory shared(base);
  const ForwardMemory<T> memory(shared, heads.size);
  const int query_tile = blockIdx.x, first = query_tile * kTile, row = threadIdx.x / kRowThreads;
  const int64_t head = blockIdx.y;
  const Rows<T> keys{k + heads.key_offset(head), heads.stride, heads.size, whole};
  const Rows<T> values{v + heads.key_offset(head), heads.stride, heads.size, whole};
  load_tile(Rows<T>{q + heads.query_offset(head), heads.stride, heads.size, whole}, plan.query_order, first,
            plan.queries, memory.queries);
  clear(memory.sums, kTile * sum_stride(heads.size));
  OnlineRow state{-INFINITY, 0.0f};
  for (int at = plan.begin[query_tile]; at < plan.begin[query_tile + 1]; ++at) {
    const AttentionVisit visit = plan.visits[at];
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
  T* out = y + heads.y_offset(head) + position * heads.y_stride();
  for (int d = part; d < heads.size; d += kRowThreads)
    out[d] = stored<T>(memory.sums[row * sum_stride(heads.size) + d] / state.total);
  if (part == 0) logsumexp[head * heads.queries + position] = state.largest + logf(state.total);
}

template <typename T>
void run(const CudaDevice& device, const DevicePlan& plan, const Heads& heads, const Thirds& in, float scale,
         const Tensor& y, const Tensor& logsumexp) {
  SharedMemory count(nullptr);
  const ForwardMemory<T> memory(count, heads.size);
  allow_shared_memory(device, attention_kernel<T>, count.bytes(), heads.size);
  const dim3 grid(static_cast<unsigned>(plan.query_tiles), static_cast<unsigned>(heads.batch * heads.heads));
  const auto at = [](const void* data) { return static_cast<const T*>(data); };
  attention_kernel<T><<<grid, kTileThreads, count.bytes(), device.stream()>>>(
      plan.tiles, heads, at(in.q), at(in.k), at(in.v), scale, static_cast<T*>(y.raw()), logsumexp.floats(),
      whole_rows(in, heads));
  launched("attention");
}

/// delta[b, h, t] = the sum of y dy over D: one warp per row.
__global__ void delta_kernel(Numbers y, Numbers dy, Heads heads, int64_t rows, float* delta) {
  const int64_t i = thread_index() / kWarp, lane = threadIdx.x % kWarp;
  if (i >= rows) return;
  const int64_t head = i / heads.queries, position = i % heads.queries;
  const int64_t offset = heads.y_offset(head) + position * heads.y_stride();
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
__device__ void weigh(const BackwardMemory<T>& memory, int size, float scale, float logsumexp, float delta,
                      uint32_t visible) {
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
__device__ float row_value(const float* values, const AttentionTiles& plan, const Heads& heads, int64_t head,
                           int place) {
  return place < plan.queries ? values[head * heads.queries + plan.query_order[place]] : 0.0f;
}

template <typename T>
__global__ void __launch_bounds__(kTileThreads)
    query_gradient_kernel(AttentionTiles plan, Heads heads, BackwardInput<T> in, T* dq) {
  extern __shared__ __align__(128) char base[];
  SharedMemory shared(base);
  const BackwardMemory<T> memory(shared, heads.size);
  const int query_tile = blockIdx.x, first = query_tile * kTile, row = threadIdx.x / kRowThreads;
  const int64_t head = blockIdx.y, stride = heads.stride;
  const int size = heads.size;
  load_tile(Rows<T>{in.q + heads.query_offset(head), stride, size, in.whole}, plan.query_order, first,
            plan.queries, memory.queries);
  load_tile(Rows<T>{in.dy + heads.y_offset(head), heads.y_stride(), size, in.whole}, plan.query_order, first,
            plan.queries, memory.dy);
  clear(memory.first_sums, kTile * sum_stride(size));
  const float logsumexp = row_value(in.logsumexp, plan, heads, head, first + row);
  const float delta = row_value(in.delta, plan, heads, head, first + row);
  for (int at = plan.begin[query_tile]; at < plan.begin[query_tile + 1]; ++at) {
    const AttentionVisit visit = plan.visits[at];
    load_tile(Rows<T>{in.k + heads.key_offset(head), stride, size, in.whole}, plan.key_order,
              visit.key_tile * kTile, plan.keys, memory.keys);
    load_tile(Rows<T>{in.v + heads.key_offset(head), stride, size, in.whole}, plan.key_order,
              visit.key_tile * kTile, plan.keys, memory.values);
    __syncthreads();
    const uint32_t visible = visit.mask < 0 ? ~0u : plan.masks[visit.mask * kTile + row];
    weigh(memory, size, in.scale, logsumexp, delta, visible);
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
    key_gradient_kernel(AttentionTiles plan, const int32_t* key_begin, const AttentionVisit* key_visits,
                        Heads heads, BackwardInput<T> in, T* dk, T* dv) {
  extern __shared__ __align__(128) char base[];
  SharedMemory shared(base);
  const BackwardMemory<T> memory(shared, heads.size);
  const int key_tile = blockIdx.x, first = key_tile * kTile, row = threadIdx.x / kRowThreads;
  const int64_t head = blockIdx.y, stride = heads.stride;
  const int size = heads.size, width = padded_size(size);
  load_tile(Rows<T>{in.k + heads.key_offset(head), stride, size, in.whole}, plan.key_order, first, plan.keys,
            memory.keys);
  load_tile(Rows<T>{in.v + heads.key_offset(head), stride, size, in.whole}, plan.key_order, first, plan.keys,
            memory.values);
  clear(memory.first_sums, kTile * sum_stride(size));
  clear(memory.second_sums, kTile * sum_stride(size));
  for (int at = key_begin[key_tile]; at < key_begin[key_tile + 1]; ++at) {
    const AttentionVisit visit = key_visits[at];
    const int query = visit.key_tile * kTile;
    load_tile(Rows<T>{in.q + heads.query_offset(head), stride, size, in.whole}, plan.query_order, query,
              plan.queries, memory.queries);
    load_tile(Rows<T>{in.dy + heads.y_offset(head), heads.y_stride(), size, in.whole}, plan.query_order,
              query, plan.queries, memory.dy);
    __syncthreads();
    const uint32_t visible = visit.mask < 0 ? ~0u : plan.masks[visit.mask * kTile + row];
    weigh(memory, size, in.scale, row_value(in.logsumexp, plan, heads, head, query + row),
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
void run_backward(const CudaDevice& device, const DevicePlan& plan, const Heads& heads,
                  const BackwardInput<T>& in, const Thirds& gradients) {
  SharedMemory count(nullptr);
  const BackwardMemory<T> memory(count, heads.size);
  allow_shared_memory(device, query_gradient_kernel<T>, count.bytes(), heads.size);
  allow_shared_memory(device, key_gradient_kernel<T>, count.bytes(), heads.size);
  const auto all_heads = static_cast<unsigned>(heads.batch * heads.heads);
  const auto at = [](void* data) { return static_cast<T*>(data); };
  if (plan.query_tiles > 0)
    query_gradient_kernel<T><<<dim3(static_cast<unsigned>(plan.query_tiles), all_heads), kTileThreads,
                               count.bytes(), device.stream()>>>(plan.tiles, heads, in, at(gradients.q));
  key_gradient_kernel<T><<<dim3(static_cast<unsigned>(plan.tiles.key_tiles), all_heads), kTileThreads,
                           count.bytes(), device.stream()>>>(plan.tiles, plan.key_begin, plan.key_visits,
                                                             heads, in, at(gradients.k), at(gradients.v));
  launched("attention_backward");
}

// Calls body with a value of the type that the tiles come in.
template <typename Body>
void with_type(const Thirds& in, const Heads& heads, const Body& body) {
  check(in.type == DType::f32 || in.type == DType::bf16, ErrorKind::internal, "CUDA attention of {}",
        name_of(in.type));
  check(heads.batch * heads.heads <= 65535, ErrorKind::internal, "attention with {} heads in all",
        heads.batch * heads.heads);
  if (in.type == DType::bf16) return body(__nv_bfloat16{});
  body(float{});
}

void attend(const CudaDevice& device, const DevicePlan& plan, const Heads& heads, const Thirds& in,
            float scale, const Tensor& y, const Tensor& logsumexp) {
  with_type(in, heads, [&](auto type) { run<decltype(type)>(device, plan, heads, in, scale, y, logsumexp); });
}

void differentiate(CudaDevice& device, const DevicePlan& plan, const Heads& heads, const Thirds& in,
                   float scale, const Tensor& y, const Tensor& logsumexp, const Tensor& dy,
                   const Thirds& gradients) {
  const Tensor delta = Tensor::empty(device, logsumexp.shape()), gradient = dy.to(in.type);
  if (delta.numel() > 0) {
    delta_kernel<<<blocks_for(delta.numel() * kWarp), kThreads, 0, device.stream()>>>(
        numbers(y), numbers(gradient), heads, delta.numel(), delta.floats());
    launched("attention_backward");
  }
  with_type(in, heads, [&](auto type) {
    using T = decltype(type);
    const auto at = [](const void* data) { return static_cast<const T*>(data); };
    const bool whole = whole_rows(in, heads) && reinterpret_cast<uintptr_t>(gradient.raw()) % 16 == 0;
    run_backward<T>(device, plan, heads,
                    BackwardInput<T>{at(in.q), at(in.k), at(in.v), at(gradient.raw()), logsumexp.floats(),
                                     delta.floats(), scale, whole},
                    gradients);
  });
}

}  // namespace

void CudaKernels::attention(const AttentionArguments& a) {
  if (a.y.numel() == 0) return;
  attend(device_, attention_plans().find(device_, a.options.pattern, a.q.dim(1), a.k.dim(1)),
         heads_of(a.q, a.k), thirds_of(a.q, a.k, a.v), a.options.scale, a.y, a.logsumexp);
}

void CudaKernels::attention_backward(const AttentionBackward& a) {
  if (a.k.numel() == 0) return;
  differentiate(device_, attention_plans().find(device_, a.options.pattern, a.q.dim(1), a.k.dim(1)),
                heads_of(a.q, a.k), thirds_of(a.q, a.k, a.v), a.options.scale, a.y, a.logsumexp, a.dy,
                thirds_of(a.dq, a.dk, a.dv));
}

void CudaKernels::self_attention(const SelfAttentionArguments& a) {
  if (a.y.numel() == 0) return;
  attend(device_, attention_plans().find(device_, a.options.pattern, a.qkv.dim(1), a.qkv.dim(1)),
         heads_of_thirds(a.qkv, a.logsumexp.dim(1)), thirds_of(a.qkv), a.options.scale, a.y, a.logsumexp);
}

void CudaKernels::self_attention_backward(const SelfAttentionBackward& a) {
  if (a.y.numel() == 0) return;
  differentiate(device_, attention_plans().find(device_, a.options.pattern, a.qkv.dim(1), a.qkv.dim(1)),
                heads_of_thirds(a.qkv, a.logsumexp.dim(1)), thirds_of(a.qkv), a.options.scale, a.y,
                a.logsumexp, a.dy, thirds_of(a.dqkv));
}

CudaKernels::AttentionPlans& CudaKernels::attention_plans() {
  if (!attention_plans_) attention_plans_ = std::make_shared<AttentionPlans>();
  return *attention_plans_;
}

}  // namespace dalle1
