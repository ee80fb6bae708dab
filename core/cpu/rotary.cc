#include <algorithm>

#include "core/cpu/block.h"
#include "core/cpu/cpu_kernels.h"

namespace dalle1 {

void CpuKernels::rotate(const Tensor& x, const RotaryTurn& turn, Tensor& y) {
  const int64_t width = x.dim(-1), rows = x.numel() / width, positions = turn.table.dim(0),
                size = turn.table.dim(1), half = size / 2, columns = turn.columns;
  const float *in = x.floats(), *angles = turn.table.floats(), direction = turn.forward ? 1.0f : -1.0f;
  float* out = y.floats();
  const int64_t grain = std::max<int64_t>(1, cpu::kGrain / width);
  cpu::parallel_for(threads_, rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      // Without `restrict` each short loop begins with a check that five arrays are apart.
      const float *source = in + row * width, *__restrict cosine = angles + row % positions * size;
      float* __restrict target = out + row * width;
      for (int64_t first = 0; first < columns; first += size) {
        const float* __restrict a = source + first, * __restrict b = a + half, * __restrict sine = cosine + half;
        for (int64_t i = 0; i < half; ++i) {
          const float s = direction * sine[i];
          target[first + i] = a[i] * cosine[i] - b[i] * s;
          target[first + half + i] = a[i] * s + b[i] * cosine[i];
        }
      }
      std::copy(source + columns, source + width, target + columns);
    }
  });
}

}  // namespace dalle1
