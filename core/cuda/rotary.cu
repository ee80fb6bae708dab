// Rotary position embedding (Su et al. 2021): one block per row.
#include "core/cuda/launch.cuh"
#include "core/cuda/numbers.cuh"

namespace dalle1 {
namespace {

using namespace cuda;

__global__ void rotate_kernel(Numbers x, const float* table, int64_t positions, int64_t half, int64_t width,
                              int64_t columns, float direction, Numbers y) {
  const int64_t row = blockIdx.x;
  const Numbers in = x.from(row * width), out = y.from(row * width);
  const float* cosine = table + row % positions * 2 * half;
  for (int64_t pair = threadIdx.x; pair < columns / 2; pair += blockDim.x) {
    const int64_t i = pair % half, first = pair / half * 2 * half + i;
    const float a = in[first], b = in[first + half], c = cosine[i], s = direction * cosine[half + i];
    out.set(first, a * c - b * s);
    out.set(first + half, a * s + b * c);
  }
  for (int64_t i = columns + threadIdx.x; i < width; i += blockDim.x) out.set(i, in[i]);
}

}  // namespace

void CudaKernels::rotate(const Tensor& x, const RotaryTurn& turn, Tensor& y) {
  const int64_t width = x.dim(-1), rows = x.numel() / width;
  if (rows == 0) return;
  rotate_kernel<<<static_cast<unsigned>(rows), kThreads, 0, device_.stream()>>>(
      numbers(x), turn.table.floats(), turn.table.dim(0), turn.table.dim(1) / 2, width, turn.columns,
      turn.forward ? 1.0f : -1.0f, numbers(y));
  launched("rotate");
}

}  // namespace dalle1
