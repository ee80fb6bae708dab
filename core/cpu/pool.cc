#include "core/cpu/cpu_kernels.h"
#include "core/cpu/parallel.h"
#include "core/cpu/picture.h"

namespace dalle1 {
namespace {

using cpu::Picture;
using cpu::with_lanes;

constexpr int64_t kWork = 1 << 14;

// Calls body(plane, row) for every row of every plane.
template <typename Body>
void for_rows(int threads, const Picture& picture, const Body& body) {
  const int64_t grain = std::max<int64_t>(1, kWork / std::max<int64_t>(1, picture.plane_size()));
  cpu::parallel_for(threads, picture.planes, grain, [&](int64_t begin, int64_t end) {
    for (int64_t plane = begin; plane < end; ++plane) {
      for (int64_t row = 0; row < picture.height; ++row) body(plane, row);
    }
  });
}

// Zeroes what windows of side k do not cover: the odd border on the right and at the bottom.
void clear_border(const Picture& dx, int64_t plane, int64_t covered_height, int64_t covered_width) {
  for (int64_t row = 0; row < dx.height; ++row) {
    float* values = dx.row(plane, row);
    const int64_t from = row < covered_height ? covered_width * dx.lanes : 0;
    std::fill(values + from, values + dx.row_size(), 0.0f);
  }
}

}  // namespace

void CpuKernels::max_pool(const Tensor& x, Tensor& y) {
  const Picture in(x), out(y);
  with_lanes(in.lanes, [&](auto lanes) {
    for_rows(threads_, out, [&](int64_t plane, int64_t row) {
      const float *top = in.row(plane, 2 * row), *bottom = in.row(plane, 2 * row + 1);
      float* target = out.row(plane, row);
      for (int64_t column = 0; column < out.width; ++column) {
        const int64_t left = 2 * column * lanes, right = left + lanes;
        for (int64_t lane = 0; lane < lanes; ++lane) {
          const float upper = std::max(top[left + lane], top[right + lane]);
          const float lower = std::max(bottom[left + lane], bottom[right + lane]);
          target[column * lanes + lane] = std::max(upper, lower);
        }
      }
    });
  });
}

void CpuKernels::max_pool_backward(const Tensor& x, const Tensor& dy, Tensor& dx) {
  const Picture in(x), gradient(dy), out(dx);
  with_lanes(in.lanes, [&](auto lanes) {
    for_rows(threads_, gradient, [&](int64_t plane, int64_t row) {
      if (row == 0) clear_border(out, plane, 2 * gradient.height, 2 * gradient.width);
      const float *top = in.row(plane, 2 * row), *bottom = in.row(plane, 2 * row + 1);
      float *dtop = out.row(plane, 2 * row), *dbottom = out.row(plane, 2 * row + 1);
      const float* g = gradient.row(plane, row);
      for (int64_t column = 0; column < gradient.width; ++column) {
        const int64_t left = 2 * column * lanes, right = left + lanes;
        for (int64_t lane = 0; lane < lanes; ++lane) {
          const float a = top[left + lane], b = top[right + lane], c = bottom[left + lane],
                      d = bottom[right + lane];
          const float most = std::max(std::max(a, b), std::max(c, d));
          const bool is_a = a == most, is_b = !is_a && b == most, is_c = !is_a && !is_b && c == most;
          const float value = g[column * lanes + lane];
          dtop[left + lane] = is_a ? value : 0.0f;
          dtop[right + lane] = is_b ? value : 0.0f;
          dbottom[left + lane] = is_c ? value : 0.0f;
          dbottom[right + lane] = is_a || is_b || is_c ? 0.0f : value;
        }
      }
    });
  });
}

void CpuKernels::avg_pool(const Tensor& x, int k, Tensor& y) {
  const Picture in(x), out(y);
  const float share = 1.0f / static_cast<float>(k * k);
  with_lanes(in.lanes, [&](auto lanes) {
    for_rows(threads_, out, [&](int64_t plane, int64_t row) {
      float* target = out.row(plane, row);
      std::fill(target, target + out.row_size(), 0.0f);
      for (int dy = 0; dy < k; ++dy) {
        const float* source = in.row(plane, k * row + dy);
        for (int64_t column = 0; column < k * out.width; ++column) {
          float* sum = target + column / k * lanes;
          for (int64_t lane = 0; lane < lanes; ++lane) sum[lane] += source[column * lanes + lane];
        }
      }
      for (int64_t i = 0; i < out.row_size(); ++i) target[i] *= share;
    });
  });
}

void CpuKernels::avg_pool_backward(const Tensor& dy, int k, Tensor& dx) {
  const Picture gradient(dy), out(dx);
  const float share = 1.0f / static_cast<float>(k * k);
  with_lanes(out.lanes, [&](auto lanes) {
    for_rows(threads_, gradient, [&](int64_t plane, int64_t row) {
      if (row == 0) clear_border(out, plane, k * gradient.height, k * gradient.width);
      const float* g = gradient.row(plane, row);
      for (int window_row = 0; window_row < k; ++window_row) {
        float* target = out.row(plane, k * row + window_row);
        for (int64_t column = 0; column < k * gradient.width; ++column) {
          const float* value = g + column / k * lanes;
          for (int64_t lane = 0; lane < lanes; ++lane) target[column * lanes + lane] = share * value[lane];
        }
      }
    });
  });
}

void CpuKernels::upsample(const Tensor& x, Tensor& y) {
  const Picture in(x), out(y);
  with_lanes(in.lanes, [&](auto lanes) {
    for_rows(threads_, out, [&](int64_t plane, int64_t row) {
      const float* source = in.row(plane, row / 2);
      float* target = out.row(plane, row);
      for (int64_t column = 0; column < in.width; ++column) {
        for (int64_t lane = 0; lane < lanes; ++lane) {
          const float value = source[column * lanes + lane];
          target[2 * column * lanes + lane] = value;
          target[(2 * column + 1) * lanes + lane] = value;
        }
      }
    });
  });
}

void CpuKernels::upsample_backward(const Tensor& dy, Tensor& dx) {
  const Picture gradient(dy), out(dx);
  with_lanes(out.lanes, [&](auto lanes) {
    for_rows(threads_, out, [&](int64_t plane, int64_t row) {
      const float *top = gradient.row(plane, 2 * row), *bottom = gradient.row(plane, 2 * row + 1);
      float* target = out.row(plane, row);
      for (int64_t column = 0; column < out.width; ++column) {
        const int64_t left = 2 * column * lanes, right = left + lanes;
        for (int64_t lane = 0; lane < lanes; ++lane) {
          target[column * lanes + lane] =
              (top[left + lane] + top[right + lane]) + (bottom[left + lane] + bottom[right + lane]);
        }
      }
    });
  });
}

}  // namespace dalle1
