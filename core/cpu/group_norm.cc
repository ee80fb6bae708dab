// Group normalisation (Wu and He 2018) of a picture in any layout.
//
// Statistics are gathered per channel, row by row in double, then combined over a group's channels, so their
// bits do not depend on layout or threads.
#include <cmath>
#include <vector>

#include "core/cpu/cpu_kernels.h"
#include "core/cpu/parallel.h"
#include "core/cpu/picture.h"

namespace dalle1 {
namespace {

using cpu::Picture;
using cpu::with_lanes;

/// Two sums per channel in memory: [planes * lanes].
struct ChannelSums {
  std::vector<double> first, second;
};

// term(plane, lane, offset) gives the pair of values that are summed over the plane.
template <typename Term>
ChannelSums sum_channels(int threads, const Picture& picture, const Term& term) {
  ChannelSums sums{std::vector<double>(picture.planes * picture.lanes),
                   std::vector<double>(picture.planes * picture.lanes)};
  with_lanes(picture.lanes, [&](auto lanes) {
    cpu::parallel_for(threads, picture.planes, 1, [&](int64_t begin, int64_t end) {
      for (int64_t plane = begin; plane < end; ++plane) {
        double* first = sums.first.data() + plane * lanes;
        double* second = sums.second.data() + plane * lanes;
        for (int64_t pixel = 0; pixel < picture.height * picture.width; ++pixel) {
          for (int64_t lane = 0; lane < lanes; ++lane) {
            const auto [a, b] = term(plane, lane, plane * picture.plane_size() + pixel * lanes + lane);
            first[lane] += a;
            second[lane] += b;
          }
        }
      }
    });
  });
  return sums;
}

// Index of (picture, channel) among [planes * lanes].
struct ChannelIndex {
  int64_t channels_in_memory;
  ChannelIndex(const Picture& picture, int64_t batch)
      : channels_in_memory(picture.planes * picture.lanes / batch) {}
  int64_t operator()(int64_t b, int64_t c) const { return b * channels_in_memory + c; }
};

// y = scale[channel] * first + shift[channel] + slope[channel] * second.
struct Coefficients {
  std::vector<float> scale, slope, shift;
  explicit Coefficients(size_t n) : scale(n), slope(n), shift(n) {}
};

}  // namespace

void CpuKernels::group_norm(const GroupNormArguments& a) {
  const Picture in(a.x), out(a.y);
  const int64_t batch = a.x.dim(0), groups = a.groups, per_group = a.x.dim(1) / groups;
  const float *weight = a.w.floats(), *bias = a.b.floats();
  const double count = static_cast<double>(per_group * in.height * in.width);
  const ChannelSums sums = sum_channels(threads_, in, [&](int64_t, int64_t, int64_t at) {
    const double value = in.data[at];
    return std::pair(value, value * value);
  });
  const ChannelIndex index(in, batch);
  Coefficients c(in.planes * in.lanes);  // padding lanes keep zeros
  for (int64_t n = 0; n < batch; ++n) {
    for (int64_t group = 0; group < groups; ++group) {
      double sum = 0, squares = 0;
      for (int64_t i = 0; i < per_group; ++i) {
        sum += sums.first[index(n, group * per_group + i)];
        squares += sums.second[index(n, group * per_group + i)];
      }
      const double m = sum / count, variance = std::max(0.0, squares / count - m * m);
      const double r = 1.0 / std::sqrt(variance + a.epsilon);
      a.mean.floats()[n * groups + group] = static_cast<float>(m);
      a.rstd.floats()[n * groups + group] = static_cast<float>(r);
      for (int64_t i = 0; i < per_group; ++i) {
        const int64_t channel = group * per_group + i, at = index(n, channel);
        c.scale[at] = static_cast<float>(r * weight[channel]);
        c.shift[at] = static_cast<float>(bias[channel] - m * r * weight[channel]);
      }
    }
  }
  with_lanes(in.lanes, [&](auto lanes) {
    cpu::parallel_for(threads_, in.planes, 1, [&](int64_t begin, int64_t end) {
      for (int64_t plane = begin; plane < end; ++plane) {
        const float *scale = c.scale.data() + plane * lanes, *shift = c.shift.data() + plane * lanes;
        const float* source = in.row(plane, 0);
        float* target = out.row(plane, 0);
        for (int64_t pixel = 0; pixel < in.height * in.width; ++pixel) {
          for (int64_t lane = 0; lane < lanes; ++lane) {
            target[pixel * lanes + lane] = source[pixel * lanes + lane] * scale[lane] + shift[lane];
          }
        }
      }
    });
  });
}

void CpuKernels::group_norm_backward(const NormBackward& a) {
  const Picture in(a.x), gradient(a.dy), out(a.dx);
  const int64_t batch = a.x.dim(0), channels = a.x.dim(1), groups = a.mean.dim(1),
                per_group = channels / groups;
  const float* weight = a.w.floats();
  const double count = static_cast<double>(per_group * in.height * in.width);
  const ChannelSums sums = sum_channels(threads_, in, [&](int64_t, int64_t, int64_t at) {
    const double g = gradient.data[at];
    return std::pair(g, g * in.data[at]);
  });
  const ChannelIndex index(in, batch);
  std::vector<double> weight_gradient(channels), bias_gradient(channels);
  Coefficients c(in.planes * in.lanes);
  for (int64_t n = 0; n < batch; ++n) {
    for (int64_t group = 0; group < groups; ++group) {
      const double m = a.mean.floats()[n * groups + group], r = a.rstd.floats()[n * groups + group];
      double sum = 0, dot = 0;  // of dy * w and of dy * w * xhat
      for (int64_t channel = group * per_group; channel < (group + 1) * per_group; ++channel) {
        const double g = sums.first[index(n, channel)], gx = sums.second[index(n, channel)];
        const double normalised = (gx - m * g) * r;
        bias_gradient[channel] += g;
        weight_gradient[channel] += normalised;
        sum += weight[channel] * g;
        dot += weight[channel] * normalised;
      }
      // dx = r (w dy - sum/n - xhat dot/n), linear in dy and x.
      for (int64_t channel = group * per_group; channel < (group + 1) * per_group; ++channel) {
        const int64_t at = index(n, channel);
        c.scale[at] = static_cast<float>(r * weight[channel]);
        c.slope[at] = static_cast<float>(-r * r * dot / count);
        c.shift[at] = static_cast<float>(r * (m * r * dot - sum) / count);
      }
    }
  }
  for (int64_t channel = 0; channel < channels; ++channel) {
    a.dw.floats()[channel] = static_cast<float>(weight_gradient[channel]);
    a.db.floats()[channel] = static_cast<float>(bias_gradient[channel]);
  }
  with_lanes(in.lanes, [&](auto lanes) {
    cpu::parallel_for(threads_, in.planes, 1, [&](int64_t begin, int64_t end) {
      for (int64_t plane = begin; plane < end; ++plane) {
        const float *scale = c.scale.data() + plane * lanes, *slope = c.slope.data() + plane * lanes,
                    *shift = c.shift.data() + plane * lanes;
        const float *source = in.row(plane, 0), *g = gradient.row(plane, 0);
        float* target = out.row(plane, 0);
        for (int64_t i = 0; i < in.height * in.width; ++i) {
          for (int64_t lane = 0; lane < lanes; ++lane) {
            const int64_t at = i * lanes + lane;
            target[at] = g[at] * scale[lane] + source[at] * slope[lane] + shift[lane];
          }
        }
      }
    });
  });
}

}  // namespace dalle1
