#include <cmath>

#include "core/cuda/launch.cuh"
#include "core/cuda/numbers.cuh"
#include "core/cuda/strided_walk.cuh"

namespace dalle1 {
namespace {

using namespace cuda;

constexpr float kInvSqrt2 = 0.70710678118654752440f;
constexpr float kInvSqrt2Pi = 0.39894228040143267794f;
constexpr float kSqrt2OverPi = 0.79788456080286535588f;  // sqrt(2 / pi)
constexpr float kCubic = 0.044715f;
constexpr float kQuick = 1.702f;

__device__ float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

struct UnaryValue {
  Unary op;
  __device__ float operator()(float x, float) const {
    switch (op) {
      case Unary::relu:
        return x > 0.0f ? x : 0.0f;
      case Unary::relu_squared:
        return x > 0.0f ? x * x : 0.0f;
      case Unary::gelu:
        return 0.5f * x * (1.0f + erff(x * kInvSqrt2));
      case Unary::gelu_tanh:
        return 0.5f * x * (1.0f + tanhf(kSqrt2OverPi * x * (1.0f + kCubic * x * x)));
      case Unary::quick_gelu:
        return x / (1.0f + expf(-kQuick * x));
      case Unary::silu:
        return x / (1.0f + expf(-x));
      case Unary::sigmoid:
        return sigmoid(x);
      case Unary::tanh:
        return tanhf(x);
      case Unary::exp:
        return expf(x);
      case Unary::log:
        return logf(x);
      case Unary::sqrt:
        return sqrtf(x);
      case Unary::rsqrt:
        return 1.0f / sqrtf(x);
      case Unary::square:
        return x * x;
      case Unary::abs:
        return fabsf(x);
    }
    return x;
  }
};

// x * sigmoid(a x) has the derivative s + a x s (1 - s).
__device__ float gated_derivative(float x, float a) {
  const float s = sigmoid(a * x);
  return s * (1.0f + a * x * (1.0f - s));
}

__device__ float derivative(Unary op, float x) {
  switch (op) {
    case Unary::relu:
      return x > 0.0f ? 1.0f : 0.0f;
    case Unary::relu_squared:
      return x > 0.0f ? 2.0f * x : 0.0f;
    case Unary::gelu:
      return 0.5f * (1.0f + erff(x * kInvSqrt2)) + x * kInvSqrt2Pi * expf(-0.5f * x * x);
    case Unary::gelu_tanh: {
      const float t = tanhf(kSqrt2OverPi * x * (1.0f + kCubic * x * x));
      return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * kSqrt2OverPi * (1.0f + 3.0f * kCubic * x * x);
    }
    case Unary::quick_gelu:
      return gated_derivative(x, kQuick);
    case Unary::silu:
      return gated_derivative(x, 1.0f);
    case Unary::sigmoid: {
      const float s = sigmoid(x);
      return s * (1.0f - s);
    }
    case Unary::tanh: {
      const float t = tanhf(x);
      return 1.0f - t * t;
    }
    case Unary::exp:
      return expf(x);
    case Unary::log:
      return 1.0f / x;
    case Unary::sqrt:
      return 0.5f / sqrtf(x);
    case Unary::rsqrt:
      return -0.5f / (x * sqrtf(x));
    case Unary::square:
      return 2.0f * x;
    case Unary::abs:
      return x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : 0.0f;
  }
  return 1.0f;
}

struct UnarySlope {
  Unary op;
  __device__ float operator()(float x, float dy) const {
    // A hidden gradient is dropped, not multiplied by 0: it may not be finite.
    if (op == Unary::relu) return x > 0.0f ? dy : 0.0f;
    return derivative(op, x) * dy;
  }
};

struct BinaryValue {
  Binary op;
  __device__ float operator()(float a, float b) const {
    switch (op) {
      case Binary::add:
        return a + b;
      case Binary::sub:
        return a - b;
      case Binary::mul:
        return a * b;
      case Binary::div:
        return a / b;
      case Binary::max:
        return a < b ? b : a;
    }
    return a;
  }
};

struct Affine {
  float scale, shift;
  __device__ float operator()(float x, float) const { return scale * x + shift; }
};

struct AddScaled {
  float scale;
  __device__ float operator()(float x, float y) const { return y + scale * x; }
};

struct GreaterEqual {
  __device__ float operator()(float a, float b) const { return a >= b ? 1.0f : 0.0f; }
};

struct Lerp {
  float decay;
  __device__ float operator()(float x, float average) const { return decay * average + (1.0f - decay) * x; }
};

// y[i] = function(a[i], b[i]); `two`: b is read.
template <bool two, typename Function>
__global__ void map_kernel(Numbers a, Numbers b, Numbers y, int64_t n, bool whole, Function function) {
  const int64_t i = thread_index() * kGroup;
  if (i >= n) return;
  const Group first = a.load(i, n, whole);
  const Group second = two ? b.load(i, n, whole) : first;
  Group result;
#pragma unroll
  for (int k = 0; k < kGroup; ++k) result.values[k] = function(first.values[k], second.values[k]);
  y.store(i, n, whole, result);
}

template <bool two, typename Function>
void map(const CudaDevice& device, const Tensor& a, const Tensor& b, const Tensor& y, Function function) {
  const int64_t n = y.storage_numel();
  if (n == 0) return;
  const Numbers first = numbers(a), second = numbers(b), target = numbers(y);
  map_kernel<two><<<blocks_for(ceil_div(n, kGroup)), kThreads, 0, device.stream()>>>(
      first, second, target, n, whole_groups(kGroup, first, second, target), function);
  launched("elementwise");
}

__global__ void broadcast_kernel(Numbers a, Numbers b, Numbers y, StridedWalk walk, BinaryValue function) {
  const int64_t i = thread_index();
  if (i >= walk.count) return;
  const StridedWalk::Place place = walk.place(i);
  y.set(i, function(a[place.first], b[place.second]));
}

// y [R, C] = function(a [R, C], b [C]), four values at once.
__global__ void row_kernel(Numbers a, Numbers b, Numbers y, int64_t columns, int64_t n,
                           BinaryValue function) {
  const int64_t i = thread_index() * kGroup;
  if (i >= n) return;
  const Group first = a.load(i, n, true), second = b.load(i % columns, columns, true);
  Group result;
#pragma unroll
  for (int k = 0; k < kGroup; ++k) result.values[k] = function(first.values[k], second.values[k]);
  y.store(i, n, true, result);
}

// Whether the walk adds one row to each of many: a bias.
bool repeats_a_row(const StridedWalk& walk) {
  return walk.rank == 2 && walk.first[1] == 1 && walk.first[0] == walk.extents[1] && walk.second[1] == 1 &&
         walk.second[0] == 0;
}

__global__ void fill_kernel(Numbers y, int64_t n, float value) {
  const int64_t i = thread_index();
  if (i < n) y.set(i, value);
}

/// AdamW with what depends on the step alone computed once.
struct Update {
  float beta1, beta2, epsilon, gradient_scale, step, decay, root_correction;
};

__global__ void adamw_kernel(Update u, Numbers gradient, Numbers parameter, float* m, float* v, int64_t n) {
  const int64_t i = thread_index();
  if (i >= n) return;
  const float g = gradient[i] * u.gradient_scale;
  const float first = u.beta1 * m[i] + (1.0f - u.beta1) * g;
  const float second = u.beta2 * v[i] + (1.0f - u.beta2) * g * g;
  m[i] = first;
  v[i] = second;
  parameter.set(i, u.decay * parameter[i] - u.step * first / (sqrtf(second) * u.root_correction + u.epsilon));
}

// Strides of x in the index space of `shape` (NumPy's broadcasting).
std::vector<int64_t> broadcast_strides(const Tensor& x, const Shape& shape) {
  std::vector<int64_t> strides(shape.rank(), 0);
  const std::vector<int64_t> own = x.shape().strides();
  for (int i = 1; i <= x.rank(); ++i) strides[shape.rank() - i] = x.dim(-i) == 1 ? 0 : own[x.rank() - i];
  return strides;
}

}  // namespace

void CudaKernels::unary(Unary op, const Tensor& x, Tensor& y) {
  map<false>(device_, x, x, y, UnaryValue{op});
}

void CudaKernels::unary_backward(Unary op, const Tensor& x, const Tensor& dy, Tensor& dx) {
  map<true>(device_, x, dy, dx, UnarySlope{op});
}

void CudaKernels::binary(Binary op, const Tensor& a, const Tensor& b, Tensor& y) {
  if (a.shape() == y.shape() && b.shape() == y.shape()) return map<true>(device_, a, b, y, BinaryValue{op});
  if (y.numel() == 0) return;
  const StridedWalk walk =
      make_walk(y.shape().extents(), broadcast_strides(a, y.shape()), broadcast_strides(b, y.shape()));
  const Numbers first = numbers(a), second = numbers(b), target = numbers(y);
  if (repeats_a_row(walk) && whole_groups(walk.extents[1], first, second, target)) {
    row_kernel<<<blocks_for(walk.count / kGroup), kThreads, 0, device_.stream()>>>(
        first, second, target, walk.extents[1], walk.count, BinaryValue{op});
    return launched("binary");
  }
  broadcast_kernel<<<blocks_for(walk.count), kThreads, 0, device_.stream()>>>(first, second, target, walk,
                                                                              BinaryValue{op});
  launched("binary");
}

void CudaKernels::affine(const Tensor& x, float scale, float shift, Tensor& y) {
  map<false>(device_, x, x, y, Affine{scale, shift});
}

void CudaKernels::add_scaled(const Tensor& x, float scale, Tensor& y) {
  map<true>(device_, x, y, y, AddScaled{scale});
}

void CudaKernels::greater_equal(const Tensor& x, const Tensor& y, Tensor& mask) {
  map<true>(device_, x, y, mask, GreaterEqual{});
}

void CudaKernels::fill(Tensor& y, float value) {
  const int64_t n = y.storage_numel();
  if (n == 0) return;
  fill_kernel<<<blocks_for(n), kThreads, 0, device_.stream()>>>(numbers(y), n, value);
  launched("fill");
}

void CudaKernels::cast(const Tensor& x, Tensor& y) { map<false>(device_, x, x, y, Affine{1.0f, 0.0f}); }

void CudaKernels::lerp(const Tensor& x, float decay, Tensor& average) {
  map<true>(device_, x, average, average, Lerp{decay});
}

void CudaKernels::adamw(const AdamWArguments& a) {
  const AdamW& options = a.options;
  const int64_t n = a.parameter.numel();
  if (n == 0) return;
  const auto step = static_cast<float>(options.step);
  Update update;
  update.beta1 = options.beta1;
  update.beta2 = options.beta2;
  update.epsilon = options.epsilon;
  update.gradient_scale = options.gradient_scale;
  update.step = options.learning_rate / (1.0f - std::pow(options.beta1, step));
  update.decay = 1.0f - options.learning_rate * options.weight_decay;
  update.root_correction = 1.0f / std::sqrt(1.0f - std::pow(options.beta2, step));
  adamw_kernel<<<blocks_for(n), kThreads, 0, device_.stream()>>>(
      update, numbers(a.gradient), numbers(a.parameter), a.m.floats(), a.v.floats(), n);
  launched("adamw");
  a.parameter.touch();
}

}  // namespace dalle1
