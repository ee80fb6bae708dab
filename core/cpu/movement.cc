#include <cmath>
#include <cstring>

#include "core/cpu/cpu_kernels.h"
#include "core/cpu/parallel.h"

namespace dalle1 {
namespace {

constexpr int64_t kRowsGrain = 8192;

template <typename T, bool accumulate>
void copy_row(const T* x, int64_t stride_x, T* y, int64_t stride_y, int64_t n) {
  if (!accumulate && stride_x == 1 && stride_y == 1) {
    std::memcpy(y, x, n * sizeof(T));
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    if constexpr (accumulate) {
      y[i * stride_y] += x[i * stride_x];
    } else {
      y[i * stride_y] = x[i * stride_x];
    }
  }
}

template <typename T, bool accumulate>
void strided(int threads, const Kernels::StridedCopy& copy, const T* x, T* y) {
  const int rank = static_cast<int>(copy.extents.size());
  const int64_t inner = rank ? copy.extents[rank - 1] : 1;
  int64_t outer = 1;
  for (int i = 0; i + 1 < rank; ++i) outer *= copy.extents[i];
  // Adding may hit one place twice (a stride of 0), so it stays on one thread.
  const int used = accumulate ? 1 : threads;
  cpu::parallel_for(used, outer, std::max<int64_t>(1, kRowsGrain / std::max<int64_t>(1, inner)),
                    [&](int64_t begin, int64_t end) {
                      for (int64_t row = begin; row < end; ++row) {
                        int64_t rest = row, at_x = copy.offset_x, at_y = copy.offset_y;
                        for (int axis = rank - 2; axis >= 0; --axis) {
                          const int64_t index = rest % copy.extents[axis];
                          rest /= copy.extents[axis];
                          at_x += index * copy.strides_x[axis];
                          at_y += index * copy.strides_y[axis];
                        }
                        copy_row<T, accumulate>(x + at_x, rank ? copy.strides_x[rank - 1] : 1, y + at_y,
                                                rank ? copy.strides_y[rank - 1] : 1, inner);
                      }
                    });
}

// Elements of T's size, of whatever type.
template <typename T>
void move(int threads, const Kernels::StridedCopy& copy, const Tensor& x, Tensor& y) {
  check(x.layout() == Layout::plain && y.layout() == Layout::plain && x.dtype() == y.dtype(),
        ErrorKind::internal, "strided copy of {} {} to {} {}", name_of(x.dtype()), x.shape(),
        name_of(y.dtype()), y.shape());
  strided<T, false>(threads, copy, static_cast<const T*>(x.raw()), static_cast<T*>(y.raw()));
}

// Sums in 8 lanes, so that the compiler may use vectors and the order is fixed.
double sum_lanes(const float* x, int64_t n, bool squares) {
  double lanes[8] = {};
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    for (int lane = 0; lane < 8; ++lane) {
      const double value = x[i + lane];
      lanes[lane] += squares ? value * value : value;
    }
  }
  double sum = 0;
  for (double lane : lanes) sum += lane;
  for (; i < n; ++i) sum += squares ? static_cast<double>(x[i]) * x[i] : x[i];
  return sum;
}

constexpr int64_t kSumChunk = 1 << 16;  // fixed chunks: the sum does not depend on threads

double chunked_sum(int threads, const float* x, int64_t n, bool squares) {
  const int64_t chunks = (n + kSumChunk - 1) / kSumChunk;
  std::vector<double> partial(chunks);
  cpu::parallel_for(threads, chunks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      partial[c] = sum_lanes(x + c * kSumChunk, std::min(kSumChunk, n - c * kSumChunk), squares);
    }
  });
  double sum = 0;
  for (double value : partial) sum += value;
  return sum;
}

}  // namespace

void CpuKernels::strided_copy(const StridedCopy& copy, const Tensor& x, Tensor& y) {
  if (copy.accumulate) {
    check(x.dtype() == DType::f32, ErrorKind::internal, "adding strided copy of {}", name_of(x.dtype()));
    return strided<float, true>(threads_, copy, x.floats(), y.floats());
  }
  switch (size_of(x.dtype())) {
    case 8:
      return move<uint64_t>(threads_, copy, x, y);
    case 4:
      return move<uint32_t>(threads_, copy, x, y);
    case 2:
      return move<uint16_t>(threads_, copy, x, y);
    default:
      return move<uint8_t>(threads_, copy, x, y);
  }
}

void CpuKernels::sum_to(const Tensor& x, Tensor& y) {
  const Shape &from = x.shape(), &to = y.shape();
  const float* in = x.floats();
  float* out = y.floats();
  if (y.numel() == 1) {
    out[0] = static_cast<float>(chunked_sum(threads_, in, x.numel(), false));
    return;
  }
  const int rank = from.rank();
  const int64_t columns = from[rank - 1];
  if (to[rank - 1] == 1 && columns > 0 && y.numel() * columns == x.numel()) {
    // Over the last axis alone: the sum of a row is the same by itself and among others.
    cpu::parallel_for(threads_, y.numel(), std::max<int64_t>(1, kRowsGrain / columns),
                      [&](int64_t begin, int64_t end) {
                        for (int64_t row = begin; row < end; ++row)
                          out[row] = static_cast<float>(chunked_sum(1, in + row * columns, columns, false));
                      });
    return;
  }
  int64_t leading = 1, trailing = 1;
  int first = 0;  // y = [1.., kept]: the gradient of a bias
  while (first < rank && to[first] == 1) leading *= from[first++];
  bool keeps_tail = true;
  for (int i = first; i < rank; ++i) keeps_tail &= from[i] == to[i], trailing *= from[i];
  if (keeps_tail) {
    cpu::parallel_for(threads_, trailing, 64, [&](int64_t begin, int64_t end) {
      std::fill(out + begin, out + end, 0.0f);
      for (int64_t row = 0; row < leading; ++row) {
        const float* source = in + row * trailing;
        for (int64_t i = begin; i < end; ++i) out[i] += source[i];
      }
    });
    return;
  }
  std::fill_n(out, y.numel(), 0.0f);
  StridedCopy copy;
  copy.extents = from.extents();
  copy.strides_x = from.strides();
  copy.strides_y = to.strides();
  for (int i = 0; i < rank; ++i) {
    if (to[i] == 1) copy.strides_y[i] = 0;
  }
  copy.accumulate = true;
  strided<float, true>(1, copy, in, out);
}

void CpuKernels::max_last(const Tensor& x, Tensor& values, Tensor& indices) {
  const int64_t columns = x.dim(-1), rows = columns ? x.numel() / columns : 0;
  const float* in = x.floats();
  float* best = values.floats();
  auto* index = indices.data<int64_t>();
  cpu::parallel_for(threads_, rows, std::max<int64_t>(1, kRowsGrain / std::max<int64_t>(1, columns)),
                    [&](int64_t begin, int64_t end) {
                      for (int64_t row = begin; row < end; ++row) {
                        const float* first = in + row * columns;
                        const float* found = std::max_element(first, first + columns);
                        best[row] = *found;
                        index[row] = found - first;
                      }
                    });
}

double CpuKernels::sum_squares(std::span<const Tensor> tensors) {
  double sum = 0;
  for (const Tensor& x : tensors) sum += chunked_sum(threads_, x.stored<float>(), x.storage_numel(), true);
  return sum;
}

bool CpuKernels::all_finite(const Tensor& x) {
  const float* in = x.stored<float>();
  float probe = 0.0f;  // 0 * x is 0 for finite x and NaN else
  for (int64_t i = 0, n = x.storage_numel(); i < n; ++i) probe += 0.0f * in[i];
  return probe == 0.0f;
}

void CpuKernels::embedding(const Tensor& ids, const Tensor& table, Tensor& y) {
  const auto* id = ids.data<int64_t>();
  const int64_t rows = ids.numel(), width = table.dim(1), vocabulary = table.dim(0);
  for (int64_t row = 0; row < rows; ++row) {
    check(id[row] >= 0 && id[row] < vocabulary, ErrorKind::internal,
          "embedding: id {} at {} is outside [0, {})", id[row], row, vocabulary);
    std::memcpy(y.floats() + row * width, table.floats() + id[row] * width, width * sizeof(float));
  }
}

void CpuKernels::embedding_backward(const Tensor& ids, const Tensor& dy, Tensor& dtable) {
  const auto* id = ids.data<int64_t>();
  const int64_t rows = ids.numel(), width = dtable.dim(1);
  for (int64_t row = 0; row < rows; ++row) {
    float* target = dtable.floats() + id[row] * width;
    const float* source = dy.floats() + row * width;
    for (int64_t i = 0; i < width; ++i) target[i] += source[i];
  }
}

void CpuKernels::uniform(const UniformDraw& draw, Tensor& y) {
  float* out = y.floats();
  const int64_t n = y.numel();
  cpu::parallel_for(threads_, (n + 3) / 4, 4096, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const PhiloxBlock words =
          random_block(draw.seed, draw.stream, draw.index, draw.step, static_cast<uint32_t>(block));
      for (int64_t i = block * 4; i < std::min(n, block * 4 + 4); ++i) out[i] = unit_interval(words[i % 4]);
    }
  });
}

}  // namespace dalle1
