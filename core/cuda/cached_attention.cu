// One decoding step of attention.
//
// For many candidates a block takes one head of 32 of them: the shared prefix is read once for all, as
// products of tiles (Hydragen; Juravsky et al. 2024), then each warp goes through the private keys of its
// candidates, two of them at once so that more of their rows are under way, reading each row of the store
// once, and merges both parts by the online softmax. For few candidates a block takes one head of one, and
// its warps share out all of the keys.
#include <cuda_fp8.h>

#include "core/cuda/attention_tiles.cuh"
#include "core/cuda/step_tables.h"

namespace dalle1 {
namespace {

using namespace cuda;

constexpr int kLaneValues = 8;                  ///< Of a row that a lane holds.
constexpr int kMostSize = kWarp * kLaneValues;  ///< Largest D.
constexpr int kWarps = kTileThreads / kWarp;
constexpr int kPair = 2;          ///< Candidates that a warp takes together.
constexpr int kPass = 2 * kWarp;  ///< Of their keys, those of one step of the softmax: a row layer has 33.
constexpr int kFew = 8;           ///< Up to so many candidates are taken one by one.
constexpr int kFewThreads = 256, kFewWarps = kFewThreads / kWarp;
constexpr float kLargestPacked = 448.0f;  ///< Of e4m3.

/// Rows of the prefix and slots of the store that a step sees, and the slot of its own key.
struct Seen {
  const int32_t* prefix;
  int prefix_count;
  const int32_t* slots;
  int slot_count;
  int64_t slot;
};

/// DecodeSteps; without a cell there is one step.
struct StepView {
  const int32_t *lists, *steps;
  const int64_t* cell;
  int64_t first;
  __device__ Seen seen() const {
    const int32_t* step = steps + (cell ? *cell - first : 0) * kStepNumbers;
    return {lists + step[0], step[1], lists + step[2], step[3], step[4]};
  }
};

/// T is how the prefix is kept, S the private store.
template <typename T, typename S>
struct CachedInput {
  Numbers q;  ///< Row n begins at n * q_stride; heads are contiguous.
  int64_t q_stride;
  Numbers y;                               ///< [N, H, D]
  const T *prefix_keys, *prefix_values;    ///< [H, P, D]
  const S *keys, *values;                  ///< [N, H, S, D]
  const float *key_scales, *value_scales;  ///< [N, H, S] or null
  int64_t candidates, heads, prefix_rows, slots;
  int size;
  int lanes;  ///< That share a row of the store: a power of two.
  float scale;
  bool whole_prefix, whole_store;
};

/// What a lane of a warp has of each row.
struct Lane {
  int part, group, groups, first, lanes, size;
  __device__ Lane(int lanes, int size)
      : part(threadIdx.x % lanes),
        group(threadIdx.x % kWarp / lanes),
        groups(kWarp / lanes),
        first(part * kLaneValues),
        lanes(lanes),
        size(size) {}
};

/// Rows of one head: the i-th is at place places[i].
template <typename T>
struct HeadRows {
  const T *keys, *values;
  const float *key_scales, *value_scales;
  const int32_t* places;
  int count;
  bool whole;  ///< A lane's values can be loaded at once.
};

/// An unfinished softmax of a warp: `added` are the lane's sums of its group's rows.
struct Partial {
  float largest = -INFINITY, total = 0.0f, added[kLaneValues] = {};
};

/// Values [first, first + 8) of a row of D, zeros beyond.
template <typename T>
__device__ void load_values(const T* row, int first, int size, bool whole, float (&values)[kLaneValues]) {
  using Piece = std::conditional_t<sizeof(T) == 1, uint2, uint4>;
  if (whole && first < size) {
    alignas(16) T loaded[kLaneValues];
#pragma unroll
    for (unsigned i = 0; i < kLaneValues * sizeof(T) / sizeof(Piece); ++i)
      reinterpret_cast<Piece*>(loaded)[i] = reinterpret_cast<const Piece*>(row + first)[i];
#pragma unroll
    for (int i = 0; i < kLaneValues; ++i) values[i] = static_cast<float>(loaded[i]);
    return;
  }
#pragma unroll
  for (int i = 0; i < kLaneValues; ++i)
    values[i] = first + i < size ? static_cast<float>(row[first + i]) : 0.0f;
}

/// Takes in rows begin .. begin + pass - 1, begin + stride .. and so on, by one warp, of `together` heads
/// that have their rows at equal places; `weights` is its scratch.
template <int together, int pass, typename T>
__device__ void absorb_rows(const HeadRows<T> (&rows)[together], const Lane& at,
                            const float (&query)[together][kLaneValues], int begin, int stride,
                            float (&weights)[together][pass], Partial (&state)[together]) {
  constexpr int each = pass / kWarp;  // of a step's keys, those whose weights a lane computes
  const int lane = threadIdx.x % kWarp;
  const int32_t* places = rows[0].places;
  float row[kLaneValues];
  for (; begin < rows[0].count; begin += stride) {
    const int count = min(pass, rows[0].count - begin);
#pragma unroll(4 / together)
    for (int first = 0; first < count; first += at.groups) {
      const int j = first + at.group;
#pragma unroll
      for (int c = 0; c < together; ++c) {
        float score = 0.0f;
        if (j < count) {
          load_values(rows[c].keys + int64_t{places[begin + j]} * at.size, at.first, at.size, rows[c].whole,
                      row);
#pragma unroll
          for (int i = 0; i < kLaneValues; ++i) score = fmaf(query[c][i], row[i], score);
        }
        for (int offset = at.lanes / 2; offset; offset /= 2)
          score += __shfl_xor_sync(kAllLanes, score, offset);
        if (at.part == 0) weights[c][j] = score;
      }
    }
    __syncwarp();
#pragma unroll
    for (int c = 0; c < together; ++c) {
      float scores[each], most = -INFINITY, sum = 0.0f;
      int32_t place[each];
#pragma unroll
      for (int i = 0; i < each; ++i) {
        const int j = lane + i * kWarp;
        place[i] = places[begin + min(j, count - 1)];
        scores[i] = j < count ? weights[c][j] : -INFINITY;
        if (rows[c].key_scales) scores[i] *= rows[c].key_scales[place[i]];
        most = fmaxf(most, scores[i]);
      }
      const float now = fmaxf(state[c].largest, warp_combine(most, Most{}));
      const float factor = expf(state[c].largest - now);
#pragma unroll
      for (int i = 0; i < each; ++i) {
        const float weight = expf(scores[i] - now);
        sum += weight;
        weights[c][lane + i * kWarp] =
            rows[c].value_scales ? weight * rows[c].value_scales[place[i]] : weight;
      }
      state[c].total = state[c].total * factor + warp_combine(sum, Add{});
      state[c].largest = now;
#pragma unroll
      for (int i = 0; i < kLaneValues; ++i) state[c].added[i] *= factor;
    }
    __syncwarp();
#pragma unroll(4 / together)
    for (int j = at.group; j < count; j += at.groups) {
#pragma unroll
      for (int c = 0; c < together; ++c) {
        load_values(rows[c].values + int64_t{places[begin + j]} * at.size, at.first, at.size, rows[c].whole,
                    row);
#pragma unroll
        for (int i = 0; i < kLaneValues; ++i)
          state[c].added[i] = fmaf(weights[c][j], row[i], state[c].added[i]);
      }
    }
    __syncwarp();
  }
}

/// Adds up what the groups of a warp have.
__device__ inline void join_groups(const Lane& at, Partial& state) {
#pragma unroll
  for (int i = 0; i < kLaneValues; ++i)
    for (int offset = at.lanes; offset < kWarp; offset *= 2)
      state.added[i] += __shfl_xor_sync(kAllLanes, state.added[i], offset);
}

template <typename T, typename S>
__device__ void load_query(const CachedInput<T, S>& in, const Lane& at, int64_t candidate, int64_t head,
                           float (&query)[kLaneValues]) {
#pragma unroll
  for (int i = 0; i < kLaneValues; ++i) {
    const int d = at.first + i;
    query[i] = d < in.size ? in.scale * in.q[candidate * in.q_stride + head * in.size + d] : 0.0f;
  }
}

template <typename T, typename S>
__device__ HeadRows<S> private_rows(const CachedInput<T, S>& in, const Seen& seen, int64_t candidate,
                                    int64_t head) {
  const int64_t first = (candidate * in.heads + head) * in.slots;
  return {in.keys + first * in.size,
          in.values + first * in.size,
          in.key_scales ? in.key_scales + first : nullptr,
          in.value_scales ? in.value_scales + first : nullptr,
          seen.slots,
          seen.slot_count,
          in.whole_store};
}

/// The private parts of candidates from `candidate` on, by one warp, merged with what the tiles give of the
/// prefix: of each candidate a row of `sums` and one of `prefix`.
template <int together, typename T, typename S>
__device__ void attend_private(const CachedInput<T, S>& in, const Seen& seen, int64_t candidate, int64_t head,
                               const float* sums, const OnlineRow* prefix,
                               float (&weights)[together][kPass]) {
  const Lane at(in.lanes, in.size);
  HeadRows<S> rows[together];
  float query[together][kLaneValues];
#pragma unroll
  for (int c = 0; c < together; ++c) {
    rows[c] = private_rows(in, seen, candidate + c, head);
    load_query(in, at, candidate + c, head, query[c]);
  }
  Partial state[together];
  absorb_rows(rows, at, query, 0, kPass, weights, state);
#pragma unroll
  for (int c = 0; c < together; ++c) {
    join_groups(at, state[c]);
    if (at.group != 0) continue;
    const float largest = fmaxf(prefix[c].largest, state[c].largest);
    const float of_prefix = expf(prefix[c].largest - largest), of_own = expf(state[c].largest - largest);
    const float total = prefix[c].total * of_prefix + state[c].total * of_own;
#pragma unroll
    for (int i = 0; i < kLaneValues; ++i) {
      const int d = at.first + i;
      if (d < in.size)
        in.y.set(((candidate + c) * in.heads + head) * in.size + d,
                 (sums[c * sum_stride(in.size) + d] * of_prefix + state[c].added[i] * of_own) / total);
    }
  }
}

template <typename T, typename S>
__global__ void __launch_bounds__(kTileThreads) cached_attention_kernel(CachedInput<T, S> in, StepView view) {
  extern __shared__ __align__(128) char base[];
  SharedMemory shared(base);
  const ForwardMemory<T> memory(shared, in.size);
  __shared__ OnlineRow of_prefix[kTile];
  __shared__ float scratch[kWarps][kPair][kPass], last[1][kPass];
  const Seen seen = view.seen();
  const int64_t head = blockIdx.x, first = int64_t{blockIdx.y} * kTile;
  const int stride = row_stride(in.size), row = threadIdx.x / kRowThreads;
  for (int i = threadIdx.x; i < kTile * padded_size(in.size); i += kTileThreads) {
    const int r = i / padded_size(in.size), d = i % padded_size(in.size);
    const bool inside = first + r < in.candidates && d < in.size;
    memory.queries[r * stride + d] =
        stored<T>(inside ? in.q[(first + r) * in.q_stride + head * in.size + d] : 0.0f);
  }
  clear(memory.sums, kTile * sum_stride(in.size));
  OnlineRow state{-INFINITY, 0.0f};
  const int64_t prefix = head * in.prefix_rows * in.size;
  for (int begin = 0; begin < seen.prefix_count; begin += kTile) {
    load_tile(Rows<T>{in.prefix_keys + prefix, in.size, in.size, in.whole_prefix}, seen.prefix, begin,
              seen.prefix_count, memory.keys);
    load_tile(Rows<T>{in.prefix_values + prefix, in.size, in.size, in.whole_prefix}, seen.prefix, begin,
              seen.prefix_count, memory.values);
    __syncthreads();
    const int count = seen.prefix_count - begin;
    attend_tile(memory, in.size, in.scale, count < kTile ? (1u << count) - 1 : ~0u, state);
  }
  if (threadIdx.x % kRowThreads == 0) of_prefix[row] = state;
  __syncthreads();
  const int warp = threadIdx.x / kWarp;
  for (int r = kPair * warp; r < kTile && first + r < in.candidates; r += kPair * kWarps) {
    const float* sums = memory.sums + r * sum_stride(in.size);
    if (first + r + 1 < in.candidates) {
      attend_private(in, seen, first + r, head, sums, of_prefix + r, scratch[warp]);
    } else {  // an odd number of candidates
      attend_private(in, seen, first + r, head, sums, of_prefix + r, last);
    }
  }
}

template <typename T, typename S>
__global__ void __launch_bounds__(kFewThreads) few_candidates_kernel(CachedInput<T, S> in, StepView view) {
  __shared__ float scratch[kFewWarps][1][kWarp], added[kFewWarps][kMostSize];
  __shared__ float largest[kFewWarps], total[kFewWarps];
  const Seen seen = view.seen();
  const int64_t head = blockIdx.x, candidate = blockIdx.y;
  const int warp = threadIdx.x / kWarp, begin = warp * kWarp, stride = kFewWarps * kWarp;
  const Lane at(in.lanes, in.size);
  float query[1][kLaneValues];
  load_query(in, at, candidate, head, query[0]);
  Partial all[1];
  const int64_t prefix = head * in.prefix_rows * in.size;
  const HeadRows<T> shared[1] = {{in.prefix_keys + prefix, in.prefix_values + prefix, nullptr, nullptr,
                                  seen.prefix, seen.prefix_count, in.whole_prefix}};
  const HeadRows<S> own[1] = {private_rows(in, seen, candidate, head)};
  absorb_rows(shared, at, query, begin, stride, scratch[warp], all);
  absorb_rows(own, at, query, begin, stride, scratch[warp], all);
  Partial& state = all[0];
  join_groups(at, state);
  if (at.group == 0)
    for (int i = 0; i < kLaneValues; ++i)
      if (at.first + i < in.size) added[warp][at.first + i] = state.added[i];
  if (threadIdx.x % kWarp == 0) {
    largest[warp] = state.largest;
    total[warp] = state.total;
  }
  __syncthreads();
  float most = largest[0], sum = 0.0f, value = 0.0f;
  for (int i = 1; i < kFewWarps; ++i) most = fmaxf(most, largest[i]);
  for (int d = threadIdx.x; d < in.size; d += kFewThreads) {
    sum = value = 0.0f;
    for (int i = 0; i < kFewWarps; ++i) {
      const float factor = expf(largest[i] - most);
      if (factor == 0.0f) continue;  // a warp that had no row
      sum += total[i] * factor;
      value += added[i][d] * factor;
    }
    in.y.set((candidate * in.heads + head) * in.size + d, value / sum);
  }
}

/// The keys and values of qkv [N, 3, H, D] into their slot of the store: one warp per row.
template <typename S>
__global__ void append_kernel(Numbers qkv, int64_t heads, int size, int64_t rows, int64_t slots,
                              StepView view, S* keys, S* values, float* key_scales, float* value_scales) {
  const int64_t warp = thread_index() / kWarp, row = warp / 2;
  const int lane = threadIdx.x % kWarp;
  if (row >= rows) return;
  const bool is_value = warp % 2;
  const int64_t from = (row / heads * 3 + 1 + is_value) * heads * size + row % heads * size;
  const int64_t place = row * slots + view.seen().slot;
  S* to = (is_value ? values : keys) + place * size;
  if constexpr (sizeof(S) == 1) {
    float most = 0.0f;
    for (int d = lane; d < size; d += kWarp) most = fmaxf(most, fabsf(qkv[from + d]));
    most = warp_combine(most, Most{});
    const float scale = most > 0.0f ? most / kLargestPacked : 1.0f;
    for (int d = lane; d < size; d += kWarp) to[d] = S(qkv[from + d] / scale);
    if (lane == 0) (is_value ? value_scales : key_scales)[place] = scale;
  } else {
    for (int d = lane; d < size; d += kWarp) to[d] = stored<S>(qkv[from + d]);
  }
}

/// Whether eight values of any row can be loaded at once.
template <typename T>
bool whole_lanes(const Tensor& x) {
  constexpr uintptr_t bytes = sizeof(T) == 1 ? 8 : 16;
  return reinterpret_cast<uintptr_t>(x.raw()) % bytes == 0 && x.dim(-1) % kLaneValues == 0;
}

template <typename T, typename S>
CachedInput<T, S> input_of(const Numbers& q, int64_t q_stride, const CachedAttention& cache, float scale,
                           const Tensor& y) {
  CachedInput<T, S> in{q, q_stride, cuda::numbers(y)};
  in.candidates = y.dim(0);
  in.heads = y.dim(1);
  in.size = static_cast<int>(y.dim(2));
  in.lanes = 1;
  while (in.lanes * kLaneValues < in.size) in.lanes *= 2;
  in.scale = scale;
  in.whole_prefix = in.whole_store = true;
  if (cache.prefix_keys) {
    in.prefix_keys = static_cast<const T*>(cache.prefix_keys->raw());
    in.prefix_values = static_cast<const T*>(cache.prefix_values->raw());
    in.prefix_rows = cache.prefix_keys->dim(1);
    in.whole_prefix = whole_lanes<T>(*cache.prefix_keys) && whole_lanes<T>(*cache.prefix_values);
  }
  if (cache.keys) {
    in.keys = static_cast<const S*>(cache.keys->raw());
    in.values = static_cast<const S*>(cache.values->raw());
    in.slots = cache.keys->dim(2);
    in.whole_store = whole_lanes<S>(*cache.keys) && whole_lanes<S>(*cache.values);
  }
  if (cache.key_scales) {
    in.key_scales = cache.key_scales->floats();
    in.value_scales = cache.value_scales->floats();
  }
  return in;
}

template <typename T, typename S>
void run(const CudaDevice& device, const CachedInput<T, S>& in, const StepView& view) {
  if (in.candidates <= kFew) {
    const dim3 grid(static_cast<unsigned>(in.heads), static_cast<unsigned>(in.candidates));
    few_candidates_kernel<T, S><<<grid, kFewThreads, 0, device.stream()>>>(in, view);
  } else {
    SharedMemory count(nullptr);
    const ForwardMemory<T> memory(count, in.size);
    allow_shared_memory(device, cached_attention_kernel<T, S>, count.bytes(), in.size);
    const dim3 grid(static_cast<unsigned>(in.heads), static_cast<unsigned>(ceil_div(in.candidates, kTile)));
    cached_attention_kernel<T, S><<<grid, kTileThreads, count.bytes(), device.stream()>>>(in, view);
  }
  launched("cached_attention");
}

/// Calls body with a value of the prefix's type and one of the store's.
template <typename Body>
void with_types(const CachedAttention& cache, const Body& body) {
  const DType prefix = (cache.prefix_keys ? cache.prefix_keys : cache.keys)->dtype();
  const DType store = (cache.keys ? cache.keys : cache.prefix_keys)->dtype();
  if (prefix == DType::f32 && store == DType::f32) return body(float{}, float{});
  if (prefix == DType::bf16 && store == DType::bf16) return body(__nv_bfloat16{}, __nv_bfloat16{});
  check(prefix == DType::bf16 && store == DType::u8 && cache.key_scales, ErrorKind::internal,
        "cached attention over a prefix of {} and a store of {}", name_of(prefix), name_of(store));
  body(__nv_bfloat16{}, __nv_fp8_e4m3{});
}

}  // namespace

namespace {

StepView view_of(const DecodeSteps& steps) {
  return {steps.lists.data<int32_t>(), steps.steps.data<int32_t>(), steps.cell.data<int64_t>(), steps.first};
}

void check_size(int64_t size) {
  check(size <= kMostSize, ErrorKind::internal, "cached attention with heads of {}; CUDA takes up to {}",
        size, kMostSize);
}

}  // namespace

void CudaKernels::cached_attention(const Tensor& q, const CachedAttention& cache, float scale, Tensor& y) {
  if (q.numel() == 0) return;
  check_size(q.dim(2));
  if (!step_tables_) step_tables_ = std::make_shared<StepTables>();
  const int32_t* step = step_tables_->find(device_, cache, 0);
  with_types(cache, [&](auto prefix, auto store) {
    run(device_,
        input_of<decltype(prefix), decltype(store)>(cuda::numbers(q), q.dim(1) * q.dim(2), cache, scale, y),
        StepView{step, step, nullptr, 0});
  });
}

void CudaKernels::attend_step(const StepArguments& a) {
  const CachedAttention& cache = a.cache;
  const Tensor &qkv = a.qkv, &y = a.y;
  if (y.numel() == 0) return;
  check_size(y.dim(2));
  if (!step_tables_) step_tables_ = std::make_shared<StepTables>();
  StepView view{};
  if (cache.steps) {
    view = view_of(*cache.steps);
  } else {
    view.lists = view.steps = step_tables_->find(device_, cache, a.slot);
  }
  with_types(cache, [&](auto prefix, auto store) {
    using S = decltype(store);
    const int64_t rows = y.dim(0) * y.dim(1);
    append_kernel<S><<<blocks_for(2 * rows * kWarp), kThreads, 0, device_.stream()>>>(
        cuda::numbers(qkv), y.dim(1), static_cast<int>(y.dim(2)), rows, cache.keys->dim(2), view,
        static_cast<S*>(cache.keys->raw()), static_cast<S*>(cache.values->raw()),
        cache.key_scales ? cache.key_scales->floats() : nullptr,
        cache.value_scales ? cache.value_scales->floats() : nullptr);
    launched("cache_append");
    run(device_, input_of<decltype(prefix), S>(cuda::numbers(qkv), qkv.dim(1), cache, a.scale, a.y), view);
  });
}

}  // namespace dalle1
