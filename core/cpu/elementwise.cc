#include <unsupported/Eigen/SpecialFunctions>

#include "core/cpu/block.h"
#include "core/cpu/cpu_kernels.h"

namespace dalle1 {
namespace {

using cpu::Block;

constexpr float kInvSqrt2 = 0.70710678118654752440f;
constexpr float kInvSqrt2Pi = 0.39894228040143267794f;
constexpr float kSqrt2OverPi = 0.79788456080286535588f;  // sqrt(2 / pi)
constexpr float kCubic = 0.044715f;
constexpr float kQuick = 1.702f;

float* floats(const Tensor& tensor) { return tensor.stored<float>(); }

Block apply(Unary op, const Block& x) {
  switch (op) {
    case Unary::relu:
      return x.cwiseMax(0.0f);
    case Unary::relu_squared:
      return x.cwiseMax(0.0f).square();
    case Unary::gelu:
      return 0.5f * x * (1.0f + (x * kInvSqrt2).erf());
    case Unary::gelu_tanh:
      return 0.5f * x * (1.0f + (kSqrt2OverPi * x * (1.0f + kCubic * x * x)).tanh());
    case Unary::quick_gelu:
      return x / (1.0f + (-kQuick * x).exp());
    case Unary::silu:
      return x / (1.0f + (-x).exp());
    case Unary::sigmoid:
      return 1.0f / (1.0f + (-x).exp());
    case Unary::tanh:
      return x.tanh();
    case Unary::exp:
      return x.exp();
    case Unary::log:
      return x.log();
    case Unary::sqrt:
      return x.sqrt();
    case Unary::rsqrt:
      return 1.0f / x.sqrt();
    case Unary::square:
      return x.square();
    case Unary::abs:
      return x.abs();
  }
  return x;
}

// x * sigmoid(a x) has the derivative s + a x s (1 - s).
Block gated_derivative(const Block& x, float a) {
  const Block s = 1.0f / (1.0f + (-a * x).exp());
  return s * (1.0f + a * x * (1.0f - s));
}

Block derivative(Unary op, const Block& x) {
  switch (op) {
    case Unary::relu:
      return (x > 0.0f).select(Block::Ones(), Block::Zero());
    case Unary::relu_squared:
      return 2.0f * x.cwiseMax(0.0f);
    case Unary::gelu:
      return 0.5f * (1.0f + (x * kInvSqrt2).erf()) + x * kInvSqrt2Pi * (-0.5f * x * x).exp();
    case Unary::gelu_tanh: {
      const Block t = (kSqrt2OverPi * x * (1.0f + kCubic * x * x)).tanh();
      return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * kSqrt2OverPi * (1.0f + 3.0f * kCubic * x * x);
    }
    case Unary::quick_gelu:
      return gated_derivative(x, kQuick);
    case Unary::silu:
      return gated_derivative(x, 1.0f);
    case Unary::sigmoid: {
      const Block s = 1.0f / (1.0f + (-x).exp());
      return s * (1.0f - s);
    }
    case Unary::tanh:
      return 1.0f - x.tanh().square();
    case Unary::exp:
      return x.exp();
    case Unary::log:
      return 1.0f / x;
    case Unary::sqrt:
      return 0.5f / x.sqrt();
    case Unary::rsqrt:
      return -0.5f / (x * x.sqrt());
    case Unary::square:
      return 2.0f * x;
    case Unary::abs:
      return x.sign();
  }
  return x;
}

// Sums of e.g. 1 + exp(-x) go through the packet functions only inside fixed blocks (see block.h).
template <typename Function>
void dispatch_binary(Binary op, const Function& run) {
  switch (op) {
    case Binary::add:
      return run([](const auto& a, const auto& b) { return a + b; });
    case Binary::sub:
      return run([](const auto& a, const auto& b) { return a - b; });
    case Binary::mul:
      return run([](const auto& a, const auto& b) { return a * b; });
    case Binary::div:
      return run([](const auto& a, const auto& b) { return a / b; });
    case Binary::max:
      return run([](const auto& a, const auto& b) {
        if constexpr (std::is_same_v<std::decay_t<decltype(a)>, float>) {
          return a < b ? b : a;
        } else {
          return Block(a.max(b));
        }
      });
  }
}

// Broadcast as two-level loops: the last axis by stride 0 or 1, the others by counted offsets.
template <typename Function>
void broadcast_binary(const Tensor& a, const Tensor& b, Tensor& y, const Function& function) {
  const Shape& shape = y.shape();
  const int rank = shape.rank();
  auto strides_of = [&](const Tensor& x) {
    std::vector<int64_t> strides(rank, 0), own = x.shape().strides();
    for (int i = 1; i <= x.rank(); ++i) strides[rank - i] = x.dim(-i) == 1 ? 0 : own[x.rank() - i];
    return strides;
  };
  const auto stride_a = strides_of(a), stride_b = strides_of(b);
  const int64_t inner = rank ? shape[-1] : 1, outer = inner ? y.numel() / inner : 0;
  const float *pa = floats(a), *pb = floats(b);
  float* py = floats(y);
  const int64_t sa = rank ? stride_a[rank - 1] : 0, sb = rank ? stride_b[rank - 1] : 0;
  cpu::parallel_for(y.device().threads(), outer,
                    std::max<int64_t>(1, cpu::kGrain / std::max<int64_t>(inner, 1)),
                    [&](int64_t begin, int64_t end) {
                      for (int64_t row = begin; row < end; ++row) {
                        int64_t rest = row, offset_a = 0, offset_b = 0;
                        for (int axis = rank - 2; axis >= 0; --axis) {
                          const int64_t index = rest % shape[axis];
                          rest /= shape[axis];
                          offset_a += index * stride_a[axis];
                          offset_b += index * stride_b[axis];
                        }
                        const float *xa = pa + offset_a, *xb = pb + offset_b;
                        float* out = py + row * inner;
                        if (sa == 1 && sb == 1) {
                          for (int64_t i = 0; i < inner; ++i) out[i] = function(xa[i], xb[i]);
                        } else if (sa == 1) {
                          for (int64_t i = 0; i < inner; ++i) out[i] = function(xa[i], *xb);
                        } else {
                          for (int64_t i = 0; i < inner; ++i) out[i] = function(xa[i * sa], xb[i * sb]);
                        }
                      }
                    });
}

float as_float(const void* data, DType dtype, int64_t i) {
  switch (dtype) {
    case DType::f16:
      return f16_to_f32(static_cast<const uint16_t*>(data)[i]);
    case DType::bf16:
      return bf16_to_f32(static_cast<const uint16_t*>(data)[i]);
    default:
      return static_cast<const float*>(data)[i];
  }
}

}  // namespace

void CpuKernels::unary(Unary op, const Tensor& x, Tensor& y) {
  const float* in = floats(x);
  float* out = floats(y);
  const int64_t n = x.storage_numel();
  if (op == Unary::relu) {
    cpu::parallel_for(threads_, n, cpu::kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) out[i] = in[i] > 0.0f ? in[i] : 0.0f;
    });
    return;
  }
  cpu::map_blocks(threads_, in, out, n, [op](const Block& block) { return apply(op, block); });
}

void CpuKernels::unary_backward(Unary op, const Tensor& x, const Tensor& dy, Tensor& dx) {
  const float *in = floats(x), *gradient = floats(dy);
  float* out = floats(dx);
  const int64_t n = x.storage_numel();
  if (op == Unary::relu) {
    cpu::parallel_for(threads_, n, cpu::kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) out[i] = in[i] > 0.0f ? gradient[i] : 0.0f;
    });
    return;
  }
  cpu::map_blocks(threads_, in, gradient, out, n,
                  [op](const Block& a, const Block& b) -> Block { return derivative(op, a) * b; });
}

void CpuKernels::binary(Binary op, const Tensor& a, const Tensor& b, Tensor& y) {
  dispatch_binary(op, [&](auto function) {
    auto scalar = [&](float u, float v) -> float { return function(u, v); };
    if (a.shape() == y.shape() && b.shape() == y.shape()) {
      const float *pa = floats(a), *pb = floats(b);
      float* py = floats(y);
      cpu::parallel_for(threads_, y.storage_numel(), cpu::kGrain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) py[i] = scalar(pa[i], pb[i]);
      });
    } else {
      broadcast_binary(a, b, y, scalar);
    }
  });
}

void CpuKernels::affine(const Tensor& x, float scale, float shift, Tensor& y) {
  const float* in = floats(x);
  float* out = floats(y);
  cpu::parallel_for(threads_, x.storage_numel(), cpu::kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) out[i] = scale * in[i] + shift;
  });
}

void CpuKernels::add_scaled(const Tensor& x, float scale, Tensor& y) {
  const float* in = floats(x);
  float* out = floats(y);
  cpu::parallel_for(threads_, x.storage_numel(), cpu::kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) out[i] += scale * in[i];
  });
}

void CpuKernels::greater_equal(const Tensor& x, const Tensor& y, Tensor& mask) {
  const float *a = floats(x), *b = floats(y);
  float* out = floats(mask);
  for (int64_t i = 0, n = x.storage_numel(); i < n; ++i) out[i] = a[i] >= b[i] ? 1.0f : 0.0f;
}

void CpuKernels::fill(Tensor& y, float value) { std::fill_n(floats(y), y.storage_numel(), value); }

void CpuKernels::cast(const Tensor& x, Tensor& y) {
  check(
      is_floating(x.dtype()) && is_floating(y.dtype()) && x.dtype() != DType::f64 && y.dtype() != DType::f64,
      ErrorKind::internal, "cast from {} to {}", name_of(x.dtype()), name_of(y.dtype()));
  const int64_t n = x.storage_numel();
  const void* in = x.raw();
  if (y.dtype() == DType::f32) {
    float* out = floats(y);
    for (int64_t i = 0; i < n; ++i) out[i] = as_float(in, x.dtype(), i);
    return;
  }
  auto* out = static_cast<uint16_t*>(y.raw());
  const bool half = y.dtype() == DType::f16;
  for (int64_t i = 0; i < n; ++i) {
    const float value = as_float(in, x.dtype(), i);
    out[i] = half ? f32_to_f16(value) : f32_to_bf16(value);
  }
}

void CpuKernels::lerp(const Tensor& x, float decay, Tensor& average) {
  const float* in = floats(x);
  float* out = floats(average);
  cpu::parallel_for(threads_, x.numel(), cpu::kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) out[i] = decay * out[i] + (1.0f - decay) * in[i];
  });
}

void CpuKernels::adamw(const AdamWArguments& a) {
  const AdamW& options = a.options;
  const float* g = floats(a.gradient);
  float *p = floats(a.parameter), *pm = floats(a.m), *pv = floats(a.v);
  const float correction1 = 1.0f - std::pow(options.beta1, static_cast<float>(options.step));
  const float correction2 = 1.0f - std::pow(options.beta2, static_cast<float>(options.step));
  const float step = options.learning_rate / correction1;
  const float decay = 1.0f - options.learning_rate * options.weight_decay;
  const float root_correction = 1.0f / std::sqrt(correction2);
  cpu::parallel_for(threads_, a.parameter.numel(), cpu::kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float gradient_i = g[i] * options.gradient_scale;
      pm[i] = options.beta1 * pm[i] + (1.0f - options.beta1) * gradient_i;
      pv[i] = options.beta2 * pv[i] + (1.0f - options.beta2) * gradient_i * gradient_i;
      p[i] = decay * p[i] - step * pm[i] / (std::sqrt(pv[i]) * root_correction + options.epsilon);
    }
  });
  a.parameter.touch();
}

}  // namespace dalle1
