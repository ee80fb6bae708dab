#include <algorithm>
#include <cmath>

#include "core/cpu/cpu_kernels.h"
#include "core/cpu/parallel.h"

namespace dalle1 {
namespace {

constexpr int kLanes = 16;
constexpr int64_t kWorkGrain = 16384;

int64_t rows_grain(int64_t width) { return std::max<int64_t>(1, kWorkGrain / std::max<int64_t>(1, width)); }

// A row's sum in fixed lanes: the same bits wherever the row lies.
template <typename Term>
float lane_sum(int64_t n, const Term& term) {
  float lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] += term(i + lane);
  }
  for (int lane = 0; i < n; ++i, ++lane) lanes[lane] += term(i);
  for (int half = kLanes / 2; half; half /= 2) {
    for (int lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  }
  return lanes[0];
}

float inverse_rms(const float* x, int64_t n, float epsilon) {
  const float squares = lane_sum(n, [x](int64_t i) { return x[i] * x[i]; });
  return 1.0f / std::sqrt(squares / static_cast<float>(n) + epsilon);
}

}  // namespace

void CpuKernels::layer_norm(const LayerNormArguments& a) {
  const int64_t width = a.w.numel(), rows = a.x.numel() / width;
  const float *in = a.x.floats(), *weight = a.w.floats(), *bias = a.b.floats();
  float *out = a.y.floats(), *means = a.mean.floats(), *rstds = a.rstd.floats();
  cpu::parallel_for(threads_, rows, rows_grain(width), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* source = in + row * width;
      float* target = out + row * width;
      const float m = lane_sum(width, [&](int64_t i) { return source[i]; }) / width;
      const float variance =
          lane_sum(width, [&](int64_t i) { return (source[i] - m) * (source[i] - m); }) / width;
      const float r = 1.0f / std::sqrt(variance + a.epsilon);
      for (int64_t i = 0; i < width; ++i) target[i] = (source[i] - m) * r * weight[i] + bias[i];
      means[row] = m;
      rstds[row] = r;
    }
  });
}

void CpuKernels::layer_norm_backward(const NormBackward& a) {
  const int64_t width = a.w.numel(), rows = a.x.numel() / width;
  const float *in = a.x.floats(), *weight = a.w.floats(), *means = a.mean.floats(), *rstds = a.rstd.floats(),
              *gradient = a.dy.floats();
  float *out = a.dx.floats(), *weight_gradient = a.dw.floats(), *bias_gradient = a.db.floats();
  cpu::parallel_for(threads_, rows, rows_grain(width), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float *source = in + row * width, *g = gradient + row * width;
      const float m = means[row], r = rstds[row];
      const float sum = lane_sum(width, [&](int64_t i) { return g[i] * weight[i]; }) / width;
      const float dot =
          lane_sum(width, [&](int64_t i) { return g[i] * weight[i] * (source[i] - m) * r; }) / width;
      for (int64_t i = 0; i < width; ++i) {
        out[row * width + i] = r * (g[i] * weight[i] - sum - (source[i] - m) * r * dot);
      }
    }
  });
  // Threads share columns, not rows, so that every sum runs in the order of rows.
  cpu::parallel_for(threads_, width, 32, [&](int64_t begin, int64_t end) {
    std::fill(weight_gradient + begin, weight_gradient + end, 0.0f);
    std::fill(bias_gradient + begin, bias_gradient + end, 0.0f);
    for (int64_t row = 0; row < rows; ++row) {
      const float *source = in + row * width, *g = gradient + row * width;
      const float m = means[row], r = rstds[row];
      for (int64_t i = begin; i < end; ++i) {
        weight_gradient[i] += g[i] * (source[i] - m) * r;
        bias_gradient[i] += g[i];
      }
    }
  });
}

void CpuKernels::rms_norm(const Tensor& x, const RmsNormRuns& runs, Tensor& y) {
  const int64_t group = runs.group, columns = runs.columns, width = x.dim(-1), rows = x.numel() / width;
  const float* in = x.floats();
  float* out = y.floats();
  cpu::parallel_for(threads_, rows, rows_grain(width), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* source = in + row * width;
      float* target = out + row * width;
      for (int64_t first = 0; first < columns; first += group) {
        const float r = inverse_rms(source + first, group, runs.epsilon);
        for (int64_t i = first; i < first + group; ++i) target[i] = source[i] * r;
      }
      std::copy(source + columns, source + width, target + columns);
    }
  });
}

void CpuKernels::rms_norm_backward(const Tensor& x, const Tensor& dy, const RmsNormRuns& runs, Tensor& dx) {
  const int64_t group = runs.group, columns = runs.columns, width = x.dim(-1), rows = x.numel() / width;
  const float *in = x.floats(), *gradient = dy.floats();
  float* out = dx.floats();
  cpu::parallel_for(threads_, rows, rows_grain(width), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float *source = in + row * width, *g = gradient + row * width;
      float* target = out + row * width;
      for (int64_t first = 0; first < columns; first += group) {
        const float r = inverse_rms(source + first, group, runs.epsilon);
        const float dot = lane_sum(group, [&](int64_t i) { return g[first + i] * source[first + i]; });
        const float along = dot * r * r / static_cast<float>(group);
        for (int64_t i = first; i < first + group; ++i) target[i] = r * (g[i] - source[i] * along);
      }
      std::copy(g + columns, g + width, target + columns);
    }
  });
}

}  // namespace dalle1
