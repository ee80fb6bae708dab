// One token per candidate, drawn on the device by one block. The rules are those of core/cpu/sample.cc; sums
// are in double, in a fixed tree.
#include "core/cuda/launch.cuh"
#include "core/cuda/numbers.cuh"

namespace dalle1 {
namespace {

using namespace cuda;

constexpr int kSamplers = 1024;  ///< Threads of a row.

struct Draw {
  int32_t token;
  float log_prob;
  int32_t finite;
};

struct Least {
  __device__ int operator()(int a, int b) const { return min(a, b); }
};
struct Largest {
  __device__ int operator()(int a, int b) const { return max(a, b); }
};

/// A row of logits and what the rule keeps of it.
struct Row {
  Numbers logits;
  int size;
  float largest, threshold, temperature;
  int token_bits;

  /// Unnormalised; 0 for what top-k drops.
  __device__ float probability(int token) const {
    const float logit = logits[token];
    return logit < threshold ? 0.0f : expf((logit - largest) / temperature);
  }
  /// Larger for the more probable; of equals for the lower token. Probabilities are in [0, 1], where the bits
  /// of floats are ordered as the floats are.
  __device__ uint64_t rank(float probability, int token) const {
    return uint64_t{__float_as_uint(probability)} << token_bits | static_cast<uint64_t>(size - 1 - token);
  }
};

// Bits of a float in an order that unsigned integers share.
__device__ uint32_t ordered(float value) {
  const uint32_t bits = __float_as_uint(value);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
__device__ float unordered(uint32_t key) {
  return __uint_as_float(key & 0x80000000u ? key & 0x7fffffffu : ~key);
}

// The k-th largest logit, digit by digit of 8 bits.
__device__ float kth_largest(const Numbers& logits, int size, int k) {
  __shared__ int counts[256];
  __shared__ int digit, left;
  uint32_t prefix = 0, mask = 0;
  if (threadIdx.x == 0) left = k;
  for (int shift = 24; shift >= 0; shift -= 8) {
    if (threadIdx.x < 256) counts[threadIdx.x] = 0;
    __syncthreads();
    for (int i = threadIdx.x; i < size; i += blockDim.x) {
      const uint32_t key = ordered(logits[i]);
      if ((key & mask) == prefix) atomicAdd(&counts[key >> shift & 255], 1);
    }
    __syncthreads();
    if (threadIdx.x == 0) {
      int place = 255;
      for (; place > 0 && counts[place] < left; --place) left -= counts[place];
      digit = place;
    }
    __syncthreads();
    prefix |= static_cast<uint32_t>(digit) << shift;
    mask |= 255u << shift;
  }
  return unordered(prefix);
}

// The sum of the probabilities of tokens ranked above `rank`.
__device__ double mass_above(const Row& row, uint64_t rank) {
  double mass = 0;
  for (int i = threadIdx.x; i < row.size; i += blockDim.x) {
    const float p = row.probability(i);
    if (row.rank(p, i) > rank) mass += p;
  }
  return block_sum(mass);
}

// The largest rank that more than `limit` of the mass lies above; 0 when there is none.
__device__ uint64_t rank_below(const Row& row, double limit) {
  uint64_t cut = 0;
  if (mass_above(row, 0) <= limit) return cut;
  constexpr int kProbabilityBits = 30;  // of 1.0f
  for (int bit = kProbabilityBits + row.token_bits - 1; bit >= 0; --bit) {
    const uint64_t higher = cut | uint64_t{1} << bit;
    if (mass_above(row, higher) > limit) cut = higher;
  }
  return cut;
}

// With top-p tokens are gone through from the most probable to the least, as on the CPU: the first whose
// running sum exceeds uniform * (what is kept).
__device__ int walk_by_rank(const Row& row, float top_p, float uniform) {
  double total = 0;
  for (int i = threadIdx.x; i < row.size; i += blockDim.x) total += row.probability(i);
  const uint64_t cut = rank_below(row, top_p * block_sum(total));  // it and what is below it are dropped
  const double kept = mass_above(row, cut);
  const uint64_t rank = rank_below(row, uniform * kept) + 1;
  return row.size - 1 - static_cast<int>(rank & ((uint64_t{1} << row.token_bits) - 1));
}

// sums[t] = the sum of the values of threads 0 .. t.
__device__ void scan(double value, double* sums) {
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  for (int offset = 1; offset < kWarp; offset *= 2) {
    const double other = __shfl_up_sync(kAllLanes, value, offset);
    if (lane >= offset) value += other;
  }
  __shared__ double warps[kSamplers / kWarp];
  if (lane == kWarp - 1) warps[warp] = value;
  __syncthreads();
  double before = 0;
  for (int i = 0; i < warp; ++i) before += warps[i];
  sums[threadIdx.x] = before + value;
  __syncthreads();
}

// The first token at which the running sum of what is kept exceeds uniform * total.
__device__ int walk(const Row& row, float uniform) {
  __shared__ double sums[kSamplers];
  const int chunk = (row.size + kSamplers - 1) / kSamplers;
  const int begin = threadIdx.x * chunk, end = min(row.size, begin + chunk);
  double own = 0;
  int last = -1;
  for (int i = begin; i < end; ++i) {
    const float p = row.probability(i);
    own += p;
    if (p > 0.0f) last = i;
  }
  scan(own, sums);
  const double target = uniform * sums[kSamplers - 1];
  const double before = threadIdx.x ? sums[threadIdx.x - 1] : 0.0;
  int found = INT32_MAX;
  if (last >= 0 && before <= target && target < sums[threadIdx.x]) {
    found = last;
    double sum = before;
    for (int i = begin; i < end; ++i) {
      sum += row.probability(i);
      if (sum > target) {
        found = i;
        break;
      }
    }
  }
  const int first = block_combine(found, Least{}), final = block_combine(last, Largest{});
  return first == INT32_MAX ? final : first;
}

/// ln of the sum of exp over a row; all threads get it.
struct Normaliser {
  float largest, value;
  bool finite;
  __device__ Normaliser(const Numbers& logits, int size) : largest(-INFINITY), value(0.0f), finite(true) {
    bool bad = false;
    for (int i = threadIdx.x; i < size; i += blockDim.x) {
      const float logit = logits[i];
      bad = bad || !isfinite(logit);
      largest = fmaxf(largest, logit);
    }
    finite = !__syncthreads_or(bad);
    if (!finite) return;
    largest = block_most(largest);
    float sum = 0.0f;
    for (int i = threadIdx.x; i < size; i += blockDim.x) sum += expf(logits[i] - largest);
    value = largest + logf(block_sum(sum));
  }
};

__device__ int draw(const Numbers& logits, int size, float largest, int token_bits, const SamplingRule& rule,
                    float uniform) {
  if (rule.temperature <= 0.0f) {
    int first = INT32_MAX;
    for (int i = threadIdx.x; i < size; i += blockDim.x)
      if (logits[i] == largest) first = min(first, i);
    return block_combine(first, Least{});
  }
  Row row{logits, size, largest, -INFINITY, rule.temperature, token_bits};
  if (rule.top_k > 0 && rule.top_k < size) row.threshold = kth_largest(logits, size, rule.top_k);
  return rule.top_p < 1.0f ? walk_by_rank(row, rule.top_p, uniform) : walk(row, uniform);
}

__global__ void __launch_bounds__(kSamplers)
    sample_kernel(Numbers all, int size, int token_bits, SamplingRule rule, uint64_t seed,
                  const uint32_t* candidates, uint32_t position, Draw* draws) {
  const Numbers logits = all.from(int64_t{blockIdx.x} * size);
  const Normaliser normaliser(logits, size);
  if (!normaliser.finite) {
    if (threadIdx.x == 0) draws[blockIdx.x] = {0, 0.0f, 0};
    return;
  }
  const uint32_t word = random_block(seed, Stream::sampling, candidates[blockIdx.x], position, 0)[0];
  const int token = draw(logits, size, normaliser.largest, token_bits, rule, unit_interval(word));
  if (threadIdx.x == 0) draws[blockIdx.x] = {token, logits[token] - normaliser.value, 1};
}

/// The tensors of a CellSampling.
struct CellTensors {
  const int64_t *cell, *forced;
  const uint32_t* candidates;
  int64_t* tokens;
  float* log_probs;
  int64_t* newest;
  int64_t newest_count;
};

__global__ void __launch_bounds__(kSamplers)
    sample_cell_kernel(Numbers all, Numbers own, int size, int token_bits, SamplingRule rule, uint64_t seed,
                       CellTensors at, uint64_t* fault) {
  const int64_t n = blockIdx.x, count = gridDim.x, cell = *at.cell, forced = at.forced[cell];
  const Numbers logits = all.from(n * size), unguided = own.from(n * size);
  const bool guided = all.data != own.data;
  const Normaliser normaliser(logits, size);
  const Normaliser of_own = guided ? Normaliser(unguided, size) : normaliser;
  int token = 0;
  if (!normaliser.finite || !of_own.finite) {
    if (threadIdx.x == 0)
      *fault = (static_cast<uint64_t>(cell) << 32 | at.candidates[n]) << 8 |
               static_cast<uint64_t>(CudaFault::logit);
  } else if (forced >= 0) {
    token = static_cast<int>(forced);
  } else {
    const uint32_t word =
        random_block(seed, Stream::sampling, at.candidates[n], static_cast<uint32_t>(cell), 0)[0];
    token = draw(logits, size, normaliser.largest, token_bits, rule, unit_interval(word));
  }
  if (threadIdx.x != 0) return;
  at.tokens[cell * count + n] = token;
  at.log_probs[cell * count + n] = unguided[token] - of_own.value;
  for (int64_t i = n; i < at.newest_count; i += count) at.newest[i] = token;
}

__global__ void advance_kernel(int64_t* cell) { ++*cell; }

int bits_of(int64_t classes) {
  check(classes > 0 && classes <= INT32_MAX, ErrorKind::internal, "sampling from {} classes", classes);
  int bits = 0;
  while (int64_t{1} << bits < classes) ++bits;
  return bits;
}

}  // namespace

/// The numbers of the candidates, which are the same at every position.
struct CudaKernels::Sampler {
  std::vector<uint32_t> candidates;
  Tensor on_device;

  const uint32_t* upload(CudaDevice& device, std::span<const uint32_t> wanted) {
    if (!std::equal(wanted.begin(), wanted.end(), candidates.begin(), candidates.end())) {
      candidates.assign(wanted.begin(), wanted.end());
      on_device = Tensor::empty(device, {static_cast<int64_t>(wanted.size())}, DType::i32);
      device.copy_from_host(on_device.raw(), wanted.data(), wanted.size_bytes());
    }
    return on_device.data<uint32_t>();
  }
};

void CudaKernels::sample(const SampleArguments& a) {
  const int64_t rows = a.logits.dim(0), columns = a.logits.dim(1);
  if (rows == 0) return;
  if (!sampler_) sampler_ = std::make_shared<Sampler>();
  const Tensor draws = Tensor::empty(device_, {rows, sizeof(Draw) / 4}, DType::i32);
  sample_kernel<<<static_cast<unsigned>(rows), kSamplers, 0, device_.stream()>>>(
      numbers(a.logits), static_cast<int>(columns), bits_of(columns), a.rule, a.seed,
      sampler_->upload(device_, a.candidates), a.position, static_cast<Draw*>(draws.raw()));
  launched("sample");
  std::vector<Draw> drawn(rows);
  device_.copy_to_host(drawn.data(), draws.raw(), draws.bytes());
  for (int64_t row = 0; row < rows; ++row) {
    check(drawn[row].finite != 0, ErrorKind::model,
          "the transformer gave a logit that is not finite at image position {}, candidate {}", a.position,
          a.candidates[row]);
    a.tokens[row] = drawn[row].token;
    if (!a.log_probs.empty()) a.log_probs[row] = drawn[row].log_prob;
  }
}

void CudaKernels::sample_cell(const Tensor& logits, const Tensor& own, const CellSampling& cell) {
  const int64_t rows = own.dim(0), columns = own.dim(1);
  if (rows == 0) return;
  const CellTensors at{
      cell.cell.data<int64_t>(),   cell.forced.data<int64_t>(), cell.candidates.data<uint32_t>(),
      cell.tokens.data<int64_t>(), cell.log_probs.floats(),     cell.newest.data<int64_t>(),
      cell.newest.numel()};
  sample_cell_kernel<<<static_cast<unsigned>(rows), kSamplers, 0, device_.stream()>>>(
      numbers(logits), numbers(own), static_cast<int>(columns), bits_of(columns), cell.rule, cell.seed, at,
      device_.fault_word());
  launched("sample_cell");
}

void CudaKernels::advance(Tensor& cell) {
  advance_kernel<<<1, 1, 0, device_.stream()>>>(cell.data<int64_t>());
  launched("advance");
}

}  // namespace dalle1
