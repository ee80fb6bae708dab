// One decoding step of attention: a block takes one head of 32 candidates.
//
// The shared prefix is read once for all of them, as products of tiles (Hydragen; Juravsky et al. 2024). Then
// each warp goes through the private keys of its candidates, reading each row of the store once, 16 bytes a
// lane, and merges both parts by the online softmax.
#include <mutex>

#include "core/cuda/attention_tiles.cuh"

namespace dalle1 {
namespace {

using namespace cuda;

constexpr int kLaneValues = 8;                  ///< Of a row that a lane holds.
constexpr int kMostSize = kWarp * kLaneValues;  ///< Largest D.
constexpr int kWarps = kTileThreads / kWarp;

/// Rows of the prefix and slots of the store that this step sees.
struct StepView {
  const int32_t* prefix;
  int prefix_count;
  const int32_t* slots;
  int slot_count;
};

template <typename T>
struct CachedInput {
  Numbers q, y;                          ///< [N, H, D]
  const T *prefix_keys, *prefix_values;  ///< [H, P, D]
  const T *keys, *values;                ///< [N, H, S, D]
  int64_t candidates, heads, prefix_rows, slots;
  int size;
  int lanes;  ///< That share a row of the store: a power of two.
  float scale;
  bool whole;
};

/// Values [first, first + 8) of a row of D, zeros beyond.
template <typename T>
__device__ void load_values(const T* row, int first, int size, bool whole, float (&values)[kLaneValues]) {
  if (whole && first < size) {
    alignas(16) T loaded[kLaneValues];
#pragma unroll
    for (unsigned i = 0; i < sizeof loaded / 16; ++i)
      reinterpret_cast<uint4*>(loaded)[i] = reinterpret_cast<const uint4*>(row + first)[i];
#pragma unroll
    for (int i = 0; i < kLaneValues; ++i) values[i] = static_cast<float>(loaded[i]);
    return;
  }
#pragma unroll
  for (int i = 0; i < kLaneValues; ++i)
    values[i] = first + i < size ? static_cast<float>(row[first + i]) : 0.0f;
}

/// The private part of one candidate, by one warp. `sums` and the state are those of the prefix; `weights` is
/// the warp's scratch [32].
template <typename T>
__device__ void attend_private(const CachedInput<T>& in, const StepView& view, int64_t candidate,
                               int64_t head, const float* sums, float largest, float total, float* weights) {
  const int lane = threadIdx.x % kWarp, part = lane % in.lanes, group = lane / in.lanes;
  const int groups = kWarp / in.lanes, first = part * kLaneValues;
  const int64_t place = candidate * in.heads + head;
  const T* keys = in.keys + place * in.slots * in.size;
  const T* values = in.values + place * in.slots * in.size;
  float query[kLaneValues], added[kLaneValues] = {}, row[kLaneValues];
#pragma unroll
  for (int i = 0; i < kLaneValues; ++i)
    query[i] = first + i < in.size ? in.scale * in.q[place * in.size + first + i] : 0.0f;
  float prefix_factor = 1.0f;
  for (int begin = 0; begin < view.slot_count; begin += kWarp) {
    const int count = min(kWarp, view.slot_count - begin);
#pragma unroll 4
    for (int j = group; j < kWarp; j += groups) {
      float score = 0.0f;
      if (j < count) {
        load_values(keys + int64_t{view.slots[begin + j]} * in.size, first, in.size, in.whole, row);
#pragma unroll
        for (int i = 0; i < kLaneValues; ++i) score = fmaf(query[i], row[i], score);
      }
      for (int offset = in.lanes / 2; offset; offset /= 2) score += __shfl_xor_sync(kAllLanes, score, offset);
      if (part == 0) weights[j] = score;
    }
    __syncwarp();
    const float score = lane < count ? weights[lane] : -INFINITY;
    const float now = fmaxf(largest, warp_combine(score, Most{}));
    const float weight = expf(score - now), factor = expf(largest - now);
    total = total * factor + warp_combine(weight, Add{});
    prefix_factor *= factor;
    largest = now;
    __syncwarp();
    weights[lane] = weight;
    __syncwarp();
#pragma unroll
    for (int i = 0; i < kLaneValues; ++i) added[i] *= factor;
#pragma unroll 4
    for (int j = group; j < count; j += groups) {
      load_values(values + int64_t{view.slots[begin + j]} * in.size, first, in.size, in.whole, row);
#pragma unroll
      for (int i = 0; i < kLaneValues; ++i) added[i] = fmaf(weights[j], row[i], added[i]);
    }
    __syncwarp();
  }
#pragma unroll
  for (int i = 0; i < kLaneValues; ++i)
    for (int offset = in.lanes; offset < kWarp; offset *= 2)
      added[i] += __shfl_xor_sync(kAllLanes, added[i], offset);
  if (group != 0) return;
#pragma unroll
  for (int i = 0; i < kLaneValues; ++i)
    if (first + i < in.size)
      in.y.set(place * in.size + first + i, (sums[first + i] * prefix_factor + added[i]) / total);
}

template <typename T>
__global__ void __launch_bounds__(kTileThreads) cached_attention_kernel(CachedInput<T> in, StepView view) {
  extern __shared__ __align__(128) char base[];
  SharedMemory shared(base);
  const ForwardMemory<T> memory(shared, in.size);
  __shared__ float largest[kTile], total[kTile], scratch[kWarps][kWarp];
  const int64_t head = blockIdx.x, first = int64_t{blockIdx.y} * kTile;
  const int stride = row_stride(in.size), row = threadIdx.x / kRowThreads;
  for (int i = threadIdx.x; i < kTile * padded_size(in.size); i += kTileThreads) {
    const int r = i / padded_size(in.size), d = i % padded_size(in.size);
    const bool inside = first + r < in.candidates && d < in.size;
    memory.queries[r * stride + d] =
        stored<T>(inside ? in.q[((first + r) * in.heads + head) * in.size + d] : 0.0f);
  }
  clear(memory.sums, kTile * sum_stride(in.size));
  OnlineRow state;
  const int64_t prefix = head * in.prefix_rows * in.size;
  for (int begin = 0; begin < view.prefix_count; begin += kTile) {
    load_tile(Rows<T>{in.prefix_keys + prefix, in.size, in.size, in.whole}, view.prefix, begin,
              view.prefix_count, memory.keys);
    load_tile(Rows<T>{in.prefix_values + prefix, in.size, in.size, in.whole}, view.prefix, begin,
              view.prefix_count, memory.values);
    __syncthreads();
    const int count = view.prefix_count - begin;
    attend_tile(memory, in.size, in.scale, count < kTile ? (1u << count) - 1 : ~0u, state);
  }
  if (threadIdx.x % kRowThreads == 0) {
    largest[row] = state.largest;
    total[row] = state.total;
  }
  __syncthreads();
  const int warp = threadIdx.x / kWarp;
  for (int r = warp; r < kTile && first + r < in.candidates; r += kWarps)
    attend_private(in, view, first + r, head, memory.sums + r * sum_stride(in.size), largest[r], total[r],
                   scratch[warp]);
}

template <typename T>
void run(const CudaDevice& device, CachedInput<T> in, const StepView& view) {
  SharedMemory count(nullptr);
  const ForwardMemory<T> memory(count, in.size);
  allow_shared_memory(device, cached_attention_kernel<T>, count.bytes(), in.size);
  const dim3 grid(static_cast<unsigned>(in.heads), static_cast<unsigned>(ceil_div(in.candidates, kTile)));
  cached_attention_kernel<T><<<grid, kTileThreads, count.bytes(), device.stream()>>>(in, view);
  launched("cached_attention");
}

}  // namespace

/// The visible rows and slots of the last steps, on the device. Layers of one pattern share theirs, so a step
/// uploads a few hundred bytes per pattern.
struct CudaKernels::StepTables {
  struct Table {
    std::vector<int32_t> numbers;
    int64_t used = 0;
  };
  static constexpr int64_t kTables = 16, kGrain = 1024;
  std::mutex mutex;
  std::vector<Table> tables = std::vector<Table>(kTables);
  Tensor memory;  // i32 [kTables, room]
  int64_t room = 0, clock = 0;

  const int32_t* find(CudaDevice& device, std::vector<int32_t> numbers) {
    std::lock_guard lock(mutex);
    const auto count = static_cast<int64_t>(numbers.size());
    if (count > room) {
      room = ceil_div(count, kGrain) * kGrain;
      memory = Tensor::empty(device, {kTables, room}, DType::i32);
      tables.assign(kTables, {});
    }
    const auto same = [&](const Table& table) { return table.numbers == numbers; };
    auto found = std::find_if(tables.begin(), tables.end(), same);
    const bool known = found != tables.end();
    if (!known)
      found = std::min_element(tables.begin(), tables.end(),
                               [](const Table& a, const Table& b) { return a.used < b.used; });
    int32_t* place = memory.data<int32_t>() + (found - tables.begin()) * room;
    found->used = ++clock;
    if (known) return place;
    // Kernels that read the table's old numbers are ahead of this in the stream.
    device.copy_from_host(place, numbers.data(), numbers.size() * sizeof(int32_t));
    found->numbers = std::move(numbers);
    return place;
  }
};

void CudaKernels::cached_attention(const Tensor& q, const CachedAttention& cache, float scale, Tensor& y) {
  if (q.numel() == 0) return;
  std::vector<int32_t> visible;
  for (const KeyRange& range : cache.prefix)
    for (int32_t position = range.begin; position < range.end; ++position) visible.push_back(position);
  const auto prefix_count = static_cast<int>(visible.size());
  visible.insert(visible.end(), cache.slots.begin(), cache.slots.end());
  check(!visible.empty(), ErrorKind::internal, "cached attention: no visible key");
  check(q.dim(2) <= kMostSize, ErrorKind::internal, "cached attention with heads of {}; CUDA takes up to {}",
        q.dim(2), kMostSize);
  if (!step_tables_) step_tables_ = std::make_shared<StepTables>();
  StepView view;
  view.prefix = step_tables_->find(device_, std::move(visible));
  view.prefix_count = prefix_count;
  view.slots = view.prefix + prefix_count;
  view.slot_count = static_cast<int>(cache.slots.size());
  const auto run_as = [&](auto type) {
    using T = decltype(type);
    CachedInput<T> in{cuda::numbers(q), cuda::numbers(y)};
    in.candidates = q.dim(0);
    in.heads = q.dim(1);
    in.size = static_cast<int>(q.dim(2));
    in.lanes = 1;
    while (in.lanes * kLaneValues < in.size) in.lanes *= 2;
    in.scale = scale;
    in.whole = in.size % kLaneValues == 0;
    const auto take = [&](const Tensor* x) {
      in.whole = in.whole && whole_rows<T>(*x);
      return static_cast<const T*>(x->raw());
    };
    if (prefix_count) {
      in.prefix_keys = take(cache.prefix_keys);
      in.prefix_values = take(cache.prefix_values);
      in.prefix_rows = cache.prefix_keys->dim(1);
    }
    if (view.slot_count) {
      in.keys = take(cache.keys);
      in.values = take(cache.values);
      in.slots = cache.keys->dim(2);
    }
    run<T>(device_, in, view);
  };
  const DType stored_as = (prefix_count ? cache.prefix_keys : cache.keys)->dtype();
  check(!view.slot_count || cache.keys->dtype() == stored_as, ErrorKind::internal,
        "cached attention over a prefix of {} and a store of {}", name_of(stored_as),
        name_of(cache.keys->dtype()));
  if (stored_as == DType::bf16) return run_as(__nv_bfloat16{});
  check(stored_as == DType::f32, ErrorKind::internal, "cached attention over keys of {}", name_of(stored_as));
  run_as(float{});
}

}  // namespace dalle1
