// The product with eight-bit weights: packing, rounding of activations, the choice of a kernel, threads.
#include "core/cpu/int8_linear.h"

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/cpu/cpu_kernels.h"
#include "core/cpu/isa.h"
#include "core/cpu/parallel.h"
#include "core/cpu/product_pieces.h"

namespace dalle1 {
namespace cpu {
namespace {

constexpr int kVector = 8;  // floats
constexpr float kSteps = 127.0f;
// Below, 127 / x might leave f32's range.
constexpr float kLeast = 127 * std::numeric_limits<float>::min();

__m256i magnitude_bits(__m256 x) {
  return _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(0x7fffffff));
}

/// Bits of the largest magnitude. As integers they keep the order of the floats, with NaN above all.
int32_t largest_bits(const float* x, int64_t n) {
  __m256i best = _mm256_setzero_si256();
  int64_t i = 0;
  for (; i + kVector <= n; i += kVector)
    best = _mm256_max_epi32(best, magnitude_bits(_mm256_loadu_ps(x + i)));
  alignas(32) int32_t lanes[kVector];
  _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), best);
  int32_t largest = *std::max_element(lanes, lanes + kVector);
  for (; i < n; ++i) {
    int32_t bits;
    std::memcpy(&bits, x + i, sizeof(bits));
    largest = std::max(largest, bits & 0x7fffffff);
  }
  return largest;
}

/// Eight values times `inverse`, rounded halves to even.
__m256i rounded(const float* x, __m256 inverse) {
  return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), inverse));
}

void store_rounded(Int8Activations form, __m256i values, int64_t at, char* target) {
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(values), _mm256_extracti128_si256(values, 1));
  if (form == Int8Activations::pairs) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(target + 2 * at), words);
  } else {
    const __m128i shifted = _mm_add_epi16(words, _mm_set1_epi16(128));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(target + at), _mm_packus_epi16(shifted, shifted));
  }
}

}  // namespace

float round_int8_row(Int8Activations form, const float* x, int64_t depth, char* target) {
  const int32_t bits = largest_bits(x, depth);
  float largest;
  std::memcpy(&largest, &bits, sizeof(largest));
  const bool finite = std::isfinite(largest), none = !finite || largest < kLeast;
  const __m256 inverse = _mm256_set1_ps(none ? 0.0f : kSteps / largest);
  int64_t i = 0;
  // Where nothing is to be seen, zeros: an infinity times zero would not be one.
  alignas(32) static constexpr float zeros[kVector] = {};
  for (; i + kVector <= depth; i += kVector)
    store_rounded(form, rounded(none ? zeros : x + i, inverse), i, target);
  if (i < depth) {
    alignas(32) float tail[kVector] = {};
    if (!none) std::copy(x + i, x + depth, tail);
    const int64_t element = form == Int8Activations::pairs ? 2 : 1;
    char last[2 * kVector];
    store_rounded(form, rounded(tail, inverse), 0, last);
    const int64_t padded_to = (depth + 4 / element - 1) / (4 / element) * (4 / element);
    std::memcpy(target + i * element, last, static_cast<size_t>((padded_to - i) * element));
  }
  if (!finite) return std::numeric_limits<float>::quiet_NaN();
  return none ? 0.0f : largest / kSteps;
}

void pack_int8_panel(const Int8LinearKernels& kernels, const int8_t* q, int64_t columns, int64_t depth,
                     int64_t panel, int8_t* packed, int32_t* offsets) {
  const int width = kernels.width, step = kernels.depth_step();
  const int64_t steps = kernels.steps(depth), first = panel * width;
  std::fill(packed, packed + steps * width * step, int8_t{0});
  for (int c = 0; c < width; ++c) {
    offsets[c] = 0;
    if (first + c >= columns) continue;
    const int8_t* row = q + (first + c) * depth;
    int32_t sum = 0;
    for (int64_t k = 0; k < depth; ++k) {
      packed[(k / step * width + c) * step + k % step] = row[k];
      sum += row[k];
    }
    if (kernels.activations == Int8Activations::fours) offsets[c] = -128 * sum;
  }
}

const Int8LinearKernels& int8_linear() {
  static const Int8LinearKernels& best = may_use(Isa::amx)                            ? int8_linear_amx
                                         : may_use(Isa::vnni) && may_use(Isa::avx512) ? int8_linear_vnni
                                         : may_use(Isa::vnni)                         ? int8_linear_avxvnni
                                         : may_use(Isa::avx512)                       ? int8_linear_avx512
                                                                                      : int8_linear_avx2;
  return best;
}

}  // namespace cpu

Int8Weights CpuKernels::pack_int8(const Tensor& q, const Tensor& scale) {
  const cpu::Int8LinearKernels& kernels = cpu::int8_linear();
  const int64_t columns = q.dim(0), depth = q.dim(1);
  const int64_t panels = (columns + kernels.width - 1) / kernels.width;
  const int64_t panel_size = kernels.steps(depth) * kernels.width * kernels.depth_step();
  Device& device = q.device();
  Int8Weights weights{columns, depth, Tensor::empty(device, {panels, panel_size}, DType::i8),
                      Tensor::empty(device, {panels, kernels.width}, DType::i32), scale};
  const auto* source = q.data<int8_t>();
  auto* target = weights.packed.data<int8_t>();
  auto* offsets = weights.offsets.data<int32_t>();
  cpu::parallel_for(threads_, panels, 1, [&](int64_t begin, int64_t end) {
    for (int64_t panel = begin; panel < end; ++panel)
      cpu::pack_int8_panel(kernels, source, columns, depth, panel, target + panel * panel_size,
                           offsets + panel * kernels.width);
  });
  return weights;
}

void CpuKernels::int8_linear(const Tensor& x, const Int8Weights& w, const Tensor* bias, Tensor& y) {
  const cpu::Int8LinearKernels& kernels = cpu::int8_linear();
  const int64_t columns = w.outputs, depth = w.inputs, steps = kernels.steps(depth);
  const int64_t rows = columns ? y.numel() / columns : 0;
  if (rows == 0) return;
  const Tensor rounded = Tensor::empty(x.device(), {rows, steps}, DType::i32);
  const Tensor scales = Tensor::empty(x.device(), {rows});
  auto* rounded_rows = reinterpret_cast<char*>(rounded.data<int32_t>());
  constexpr int64_t grain = 16384;  // elements for which a thread is worth its start
  cpu::parallel_for(threads_, rows, grain / std::max<int64_t>(depth, 1), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      char* target = rounded_rows + row * steps * 4;
      std::memset(target + (steps - kernels.step_multiple) * 4, 0, kernels.step_multiple * 4);
      scales.floats()[row] =
          cpu::round_int8_row(kernels.activations, x.floats() + row * depth, depth, target);
    }
  });

  cpu::Int8LinearBlock whole;
  whole.x = rounded_rows;
  whole.x_scale = scales.floats();
  whole.steps = steps;
  whole.panels = w.packed.data<int8_t>();
  whole.offsets = w.offsets.data<int32_t>();
  whole.scale = w.scale.floats();
  whole.bias = bias ? bias->floats() : nullptr;
  whole.y = y.floats();
  whole.y_stride = columns;
  whole.columns = columns;
  const int64_t panel_size = w.packed.dim(1);
  const cpu::ProductShape shape{rows, steps, w.packed.dim(0), kernels.width, kernels.row_step};
  cpu::for_each_piece(shape, threads_, [&](const cpu::ProductPiece& piece) {
    const int64_t first = piece.panel * kernels.width;
    cpu::Int8LinearBlock block = whole;
    block.x += piece.row * steps * 4;
    block.x_scale += piece.row;
    block.rows = piece.rows;
    block.panels += piece.panel * panel_size;
    block.offsets += first;
    block.scale += first;
    block.panel_count = piece.panels;
    if (block.bias) block.bias += first;
    block.y += piece.row * columns + first;
    block.columns -= first;
    kernels.multiply(block);
  });
}

}  // namespace dalle1
