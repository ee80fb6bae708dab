#include "core/cuda/launch.cuh"
#include "core/cuda/numbers.cuh"
#include "core/cuda/strided_walk.cuh"

namespace dalle1 {
namespace {

using namespace cuda;

template <typename T>
__global__ void strided_kernel(const T* x, T* y, StridedWalk walk) {
  const int64_t i = thread_index();
  if (i >= walk.count) return;
  const StridedWalk::Place place = walk.place(i);
  y[place.second] = x[place.first];
}

template <typename T>
void run_strided(const CudaDevice& device, const void* x, void* y, const StridedWalk& walk) {
  strided_kernel<<<blocks_for(walk.count), kThreads, 0, device.stream()>>>(static_cast<const T*>(x),
                                                                           static_cast<T*>(y), walk);
  launched("strided_copy");
}

// Whether the walk can move 16 bytes at once; then the walk is in units of 16 bytes.
bool widen(StridedWalk& walk, const void* x, const void* y, int64_t element) {
  const int64_t wide = 16 / element;
  if (walk.rank == 0) return false;
  const int last = walk.rank - 1;
  bool fits = walk.first[last] == 1 && walk.second[last] == 1 && walk.extents[last] % wide == 0 &&
              reinterpret_cast<uintptr_t>(x) % 16 == 0 && reinterpret_cast<uintptr_t>(y) % 16 == 0;
  for (int axis = 0; axis < last; ++axis)
    fits = fits && walk.first[axis] % wide == 0 && walk.second[axis] % wide == 0;
  if (!fits) return false;
  for (int axis = 0; axis < last; ++axis) {
    walk.first[axis] /= wide;
    walk.second[axis] /= wide;
  }
  walk.extents[last] /= wide;
  walk.count /= wide;
  return true;
}

// One block per place of y: the terms that fall on it are added in the same tree each time.
__global__ void strided_add_kernel(Numbers x, Numbers y, StridedWalk kept, StridedWalk added, bool replace) {
  const StridedWalk::Place place = kept.place(blockIdx.x);
  float sum = 0.0f;
  for (int64_t i = threadIdx.x; i < added.count; i += blockDim.x)
    sum += x[place.first + added.place(i).first];
  sum = block_sum(sum);
  if (threadIdx.x == 0) y.set(place.second, replace ? sum : y[place.second] + sum);
}

__global__ void strided_add_each_kernel(Numbers x, Numbers y, StridedWalk walk) {
  const int64_t i = thread_index();
  if (i >= walk.count) return;
  const StridedWalk::Place place = walk.place(i);
  y.set(place.second, y[place.second] + x[place.first]);
}

__global__ void embedding_kernel(const int64_t* ids, Numbers table, Numbers y, int64_t vocabulary,
                                 int64_t width, uint64_t* fault) {
  const int64_t row = blockIdx.x, id = ids[row];
  const bool known = id >= 0 && id < vocabulary;
  if (!known && threadIdx.x == 0)
    *fault = static_cast<uint64_t>(id) << 8 | static_cast<uint64_t>(CudaFault::embedding_id);
  for (int64_t i = threadIdx.x; i < width; i += blockDim.x)
    y.set(row * width + i, known ? table[id * width + i] : 0.0f);
}

__global__ void uniform_kernel(uint64_t seed, Stream stream, uint32_t index, uint32_t step, Numbers y,
                               int64_t n) {
  const int64_t block = thread_index();
  if (block * 4 >= n) return;
  const PhiloxBlock words = random_block(seed, stream, index, step, static_cast<uint32_t>(block));
  for (int64_t i = block * 4; i < min(n, block * 4 + 4); ++i) y.set(i, unit_interval(words[i % 4]));
}

__global__ void cache_store_kernel(Numbers x, Numbers store, int64_t size, int64_t slots, int64_t slot,
                                   int64_t count) {
  const int64_t i = thread_index();
  if (i >= count) return;
  const int64_t row = i / size, column = i - row * size;
  store.set((row * slots + slot) * size + column, x[i]);
}

// Splits a walk into the axes that stay in y and those that all fall on one place (a stride of 0).
struct Split {
  StridedWalk kept, added;
};

Split split(const std::vector<int64_t>& extents, const std::vector<int64_t>& strides_x,
            const std::vector<int64_t>& strides_y) {
  std::vector<int64_t> parts[2][3];
  for (size_t axis = 0; axis < extents.size(); ++axis) {
    auto& part = parts[strides_y[axis] == 0 && extents[axis] > 1];
    part[0].push_back(extents[axis]);
    part[1].push_back(strides_x[axis]);
    part[2].push_back(strides_y[axis]);
  }
  return {make_walk(parts[0][0], parts[0][1], parts[0][2]), make_walk(parts[1][0], parts[1][1], parts[1][2])};
}

}  // namespace

namespace cuda {

void add_strided(const CudaDevice& device, const Kernels::StridedCopy& copy, const Tensor& x, const Tensor& y,
                 bool replace) {
  const Split walks = split(copy.extents, copy.strides_x, copy.strides_y);
  if (walks.kept.count == 0) return;
  const auto in = static_cast<char*>(x.raw()) + copy.offset_x * size_of(x.dtype());
  const auto out = static_cast<char*>(y.raw()) + copy.offset_y * size_of(y.dtype());
  const Numbers from{in, numbers(x).type}, to{out, numbers(y).type};
  if (!replace && walks.added.count == 1) {
    strided_add_each_kernel<<<blocks_for(walks.kept.count), kThreads, 0, device.stream()>>>(from, to,
                                                                                            walks.kept);
  } else {
    check(walks.kept.count <= INT32_MAX, ErrorKind::internal, "a sum with {} results", walks.kept.count);
    strided_add_kernel<<<static_cast<unsigned>(walks.kept.count), kThreads, 0, device.stream()>>>(
        from, to, walks.kept, walks.added, replace);
  }
  launched("adding strided_copy");
}

}  // namespace cuda

void CudaKernels::strided_copy(const StridedCopy& copy, const Tensor& x, Tensor& y) {
  if (copy.accumulate) return add_strided(device_, copy, x, y, false);
  StridedWalk walk = make_walk(copy.extents, copy.strides_x, copy.strides_y);
  if (walk.count == 0) return;
  check(size_of(x.dtype()) == size_of(y.dtype()), ErrorKind::internal, "strided copy of {} to {}",
        name_of(x.dtype()), name_of(y.dtype()));
  const auto element = static_cast<int64_t>(size_of(x.dtype()));
  const void* from = static_cast<const char*>(x.raw()) + copy.offset_x * element;
  void* to = static_cast<char*>(y.raw()) + copy.offset_y * element;
  if (widen(walk, from, to, element)) return run_strided<uint4>(device_, from, to, walk);
  switch (element) {
    case 8:
      return run_strided<uint64_t>(device_, from, to, walk);
    case 4:
      return run_strided<uint32_t>(device_, from, to, walk);
    case 2:
      return run_strided<uint16_t>(device_, from, to, walk);
    default:
      return run_strided<uint8_t>(device_, from, to, walk);
  }
}

void CudaKernels::embedding(const Tensor& ids, const Tensor& table, Tensor& y) {
  const int64_t rows = ids.numel(), width = table.dim(1);
  if (rows == 0 || width == 0) return;
  embedding_kernel<<<static_cast<unsigned>(rows), kThreads, 0, device_.stream()>>>(
      ids.data<int64_t>(), numbers(table), numbers(y), table.dim(0), width, device_.fault_word());
  launched("embedding");
}

void CudaKernels::uniform(const UniformDraw& draw, Tensor& y) {
  const int64_t n = y.numel();
  if (n == 0) return;
  uniform_kernel<<<blocks_for(ceil_div(n, 4)), kThreads, 0, device_.stream()>>>(
      draw.seed, draw.stream, draw.index, draw.step, numbers(y), n);
  launched("uniform");
}

void CudaKernels::cache_store(const Tensor& x, int64_t slot, Tensor& store) {
  const int64_t count = x.numel();
  if (count == 0) return;
  cache_store_kernel<<<blocks_for(count), kThreads, 0, device_.stream()>>>(
      numbers(x), numbers(store), x.dim(2), store.dim(2), slot, count);
  launched("cache_store");
}

}  // namespace dalle1
