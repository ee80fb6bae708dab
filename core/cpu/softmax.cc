#include <limits>

#include "core/cpu/block.h"
#include "core/cpu/cpu_kernels.h"

namespace dalle1 {
namespace {

using cpu::Block;
using cpu::kBlock;

constexpr float kLowest = std::numeric_limits<float>::lowest();

// sum of exp(x - shift) over a row; with `y`, the exponentials are kept.
float exp_sum(const float* x, int64_t n, float shift, float* y) {
  Block a, sum = Block::Zero();
  for (int64_t i = 0; i < n; i += kBlock) {
    cpu::load(x + i, n - i, a, -std::numeric_limits<float>::infinity());
    const Block e = (a - shift).exp();
    // Padding lanes hold exp(-inf) = 0 up to the function's accuracy; keep them out exactly.
    if (n - i >= kBlock) {
      sum += e;
    } else {
      for (int64_t lane = 0; lane < n - i; ++lane) sum[lane] += e[lane];
    }
    if (y) cpu::store(e, n - i, y + i);
  }
  float total = 0.0f;
  for (int lane = 0; lane < kBlock; ++lane) total += sum[lane];
  return total;
}

int64_t softmax_grain(int64_t columns) { return std::max<int64_t>(1, 4096 / std::max<int64_t>(1, columns)); }

}  // namespace

void CpuKernels::softmax(const Tensor& x, Tensor& y) {
  const int64_t columns = x.dim(-1), rows = columns ? x.numel() / columns : 0;
  const float* in = x.floats();
  float* out = y.floats();
  cpu::parallel_for(threads_, rows, softmax_grain(columns), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* source = in + row * columns;
      float* target = out + row * columns;
      const float inverse = 1.0f / exp_sum(source, columns, cpu::largest_of(source, columns), target);
      for (int64_t i = 0; i < columns; ++i) target[i] *= inverse;
    }
  });
}

void CpuKernels::softmax_backward(const Tensor& y, const Tensor& dy, Tensor& dx) {
  const int64_t columns = y.dim(-1), rows = columns ? y.numel() / columns : 0;
  const float *probability = y.floats(), *gradient = dy.floats();
  float* out = dx.floats();
  cpu::parallel_for(threads_, rows, softmax_grain(columns), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float *p = probability + row * columns, *g = gradient + row * columns;
      double dot = 0;
      for (int64_t i = 0; i < columns; ++i) dot += static_cast<double>(p[i]) * g[i];
      for (int64_t i = 0; i < columns; ++i) out[row * columns + i] = p[i] * (g[i] - static_cast<float>(dot));
    }
  });
}

void CpuKernels::cross_entropy(const Tensor& logits, const Tensor& targets, Tensor& losses,
                               Tensor& logsumexp) {
  const int64_t columns = logits.dim(-1), rows = columns ? logits.numel() / columns : 0;
  const float* in = logits.floats();
  const auto* target = targets.data<int64_t>();
  float *loss = losses.floats(), *normaliser = logsumexp.floats();
  for (int64_t row = 0; row < rows; ++row) {
    check(target[row] >= 0 && target[row] < columns, ErrorKind::internal,
          "cross_entropy: target {} at row {} is outside [0, {})", target[row], row, columns);
  }
  cpu::parallel_for(threads_, rows, softmax_grain(columns), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* source = in + row * columns;
      const float largest = cpu::largest_of(source, columns);
      normaliser[row] = largest + std::log(exp_sum(source, columns, largest, nullptr));
      loss[row] = normaliser[row] - source[target[row]];
    }
  });
}

void CpuKernels::cross_entropy_backward(const CrossEntropyBackward& a) {
  const int64_t columns = a.logits.dim(-1), rows = columns ? a.logits.numel() / columns : 0;
  const float *in = a.logits.floats(), *normaliser = a.logsumexp.floats(), *scales = a.scale.floats();
  const auto* target = a.targets.data<int64_t>();
  float* out = a.dlogits.floats();
  cpu::parallel_for(threads_, rows, softmax_grain(columns), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* source = in + row * columns;
      float* gradient = out + row * columns;
      if (scales[row] == 0.0f) {
        std::fill_n(gradient, columns, 0.0f);
        continue;
      }
      const float shift = normaliser[row], factor = scales[row];
      Block logits;
      for (int64_t i = 0; i < columns; i += kBlock) {
        cpu::load(source + i, columns - i, logits, kLowest);
        const Block e = factor * (logits - shift).exp();
        cpu::store(e, columns - i, gradient + i);
      }
      gradient[target[row]] -= factor;
    }
  });
}

}  // namespace dalle1
