// Group normalisation (Wu and He 2018): sums per channel in double, then per group, then one pass over the
// picture. The steps of core/cpu/group_norm.cc.
#include "core/cuda/launch.cuh"
#include "core/cuda/picture.cuh"

namespace dalle1 {
namespace {

using namespace cuda;

/// Per (picture, channel): two sums.
struct Sums {
  double first, second;
};

/// y = scale * first + slope * second + shift, per (picture, channel).
struct Coefficients {
  float scale, slope, shift;
};

constexpr int kChannelsAtOnce = 32, kPixelRows = 8;

// sums[plane, lane] = (a, a b) over the pixels. Blocks are 32 x 8: lanes by pixels in channels_last; in the
// plain layout, where there is one lane, all 256 threads share the pixels.
__global__ void channel_sums_kernel(Numbers a, Numbers b, int64_t pixels, int64_t lanes, Sums* sums) {
  const bool plain = lanes == 1;
  const int64_t plane = blockIdx.x, lane = plain ? 0 : int64_t{blockIdx.y} * kChannelsAtOnce + threadIdx.x;
  const int linear = threadIdx.y * kChannelsAtOnce + threadIdx.x;
  const int64_t begin = plain ? linear : threadIdx.y,
                step = plain ? kChannelsAtOnce * kPixelRows : kPixelRows;
  Sums mine{0, 0};
  if (lane < lanes) {
    for (int64_t pixel = begin; pixel < pixels; pixel += step) {
      const int64_t i = (plane * pixels + pixel) * lanes + lane;
      const double value = a[i];
      mine.first += value;
      mine.second += value * b[i];
    }
  }
  __shared__ Sums shared[kPixelRows * kChannelsAtOnce];
  shared[linear] = mine;
  __syncthreads();
  const int terms = plain ? kPixelRows * kChannelsAtOnce : kPixelRows;
  const int stride = plain ? 1 : kChannelsAtOnce;
  if (threadIdx.y != 0 || (plain && threadIdx.x != 0) || lane >= lanes) return;
  Sums total{0, 0};
  for (int i = 0; i < terms; ++i) {
    total.first += shared[threadIdx.x + i * stride].first;
    total.second += shared[threadIdx.x + i * stride].second;
  }
  sums[plane * lanes + lane] = total;
}

// Thread (n, group).
__global__ void forward_coefficients_kernel(const Sums* sums, Numbers w, Numbers b, int64_t batch,
                                            int64_t groups, int64_t per_group, double count, float epsilon,
                                            float* mean, float* rstd, Coefficients* coefficients) {
  const int64_t i = thread_index();
  if (i >= batch * groups) return;
  const int64_t n = i / groups, group = i % groups, channels = groups * per_group;
  const Sums* own = sums + n * channels + group * per_group;
  double sum = 0, squares = 0;
  for (int64_t c = 0; c < per_group; ++c) {
    sum += own[c].first;
    squares += own[c].second;
  }
  const double m = sum / count, variance = fmax(0.0, squares / count - m * m);
  const double r = 1.0 / sqrt(variance + epsilon);
  mean[i] = static_cast<float>(m);
  rstd[i] = static_cast<float>(r);
  for (int64_t c = 0; c < per_group; ++c) {
    const int64_t channel = group * per_group + c;
    coefficients[n * channels + channel] = {static_cast<float>(r * w[channel]), 0.0f,
                                            static_cast<float>(b[channel] - m * r * w[channel])};
  }
}

// Thread (n, group): dx = r (w dy - sum/n - xhat dot/n), linear in dy and x.
__global__ void backward_coefficients_kernel(const Sums* sums, Numbers w, int64_t batch, int64_t groups,
                                             int64_t per_group, double count, const float* mean,
                                             const float* rstd, Coefficients* coefficients) {
  const int64_t i = thread_index();
  if (i >= batch * groups) return;
  const int64_t n = i / groups, group = i % groups, channels = groups * per_group;
  const double m = mean[i], r = rstd[i];
  double sum = 0, dot = 0;  // of dy * w and of dy * w * xhat
  for (int64_t channel = group * per_group; channel < (group + 1) * per_group; ++channel) {
    const Sums own = sums[n * channels + channel];
    sum += w[channel] * own.first;
    dot += w[channel] * ((own.second - m * own.first) * r);
  }
  for (int64_t channel = group * per_group; channel < (group + 1) * per_group; ++channel) {
    coefficients[n * channels + channel] = {static_cast<float>(r * w[channel]),
                                            static_cast<float>(-r * r * dot / count),
                                            static_cast<float>(r * (m * r * dot - sum) / count)};
  }
}

// Thread per channel: over the pictures in order.
__global__ void parameter_gradients_kernel(const Sums* sums, int64_t batch, int64_t channels,
                                           int64_t per_group, const float* mean, const float* rstd,
                                           Numbers dw, Numbers db) {
  const int64_t channel = thread_index();
  if (channel >= channels) return;
  const int64_t groups = channels / per_group;
  double weight = 0, bias = 0;
  for (int64_t n = 0; n < batch; ++n) {
    const int64_t group = n * groups + channel / per_group;
    const Sums own = sums[n * channels + channel];
    const double m = mean[group], r = rstd[group];
    bias += own.first;
    weight += (own.second - m * own.first) * r;
  }
  dw.set(channel, static_cast<float>(weight));
  db.set(channel, static_cast<float>(bias));
}

__global__ void apply_kernel(Numbers first, Numbers second, const Coefficients* coefficients, Numbers y,
                             int64_t count, int64_t plane_size, int64_t lanes) {
  const int64_t i = thread_index();
  if (i >= count) return;
  const Coefficients c = coefficients[i / plane_size * lanes + i % lanes];
  y.set(i, first[i] * c.scale + second[i] * c.slope + c.shift);
}

/// The sums and coefficients of one call, [pictures, channels] each.
struct Workspace {
  Tensor sums, coefficients;
  explicit Workspace(const Tensor& x)
      : sums(Tensor::empty(x.device(), {x.dim(0) * x.dim(1), 2}, DType::f64)),
        coefficients(Tensor::empty(x.device(), {x.dim(0) * x.dim(1), 3})) {}
  Sums* sum() const { return static_cast<Sums*>(sums.raw()); }
  Coefficients* coefficient() const { return static_cast<Coefficients*>(coefficients.raw()); }
};

void sum_channels(const CudaDevice& device, const Tensor& a, const Tensor& b, const Workspace& workspace) {
  const Picture picture(a);
  const dim3 grid(static_cast<unsigned>(picture.planes),
                  static_cast<unsigned>(ceil_div(picture.lanes, kChannelsAtOnce)));
  channel_sums_kernel<<<grid, dim3(kChannelsAtOnce, kPixelRows), 0, device.stream()>>>(
      picture.numbers, numbers(b), picture.height * picture.width, picture.lanes, workspace.sum());
}

void apply(const CudaDevice& device, const Tensor& first, const Tensor& second, const Workspace& workspace,
           const Tensor& y) {
  const Picture picture(y);
  apply_kernel<<<blocks_for(picture.count()), kThreads, 0, device.stream()>>>(
      numbers(first), numbers(second), workspace.coefficient(), picture.numbers, picture.count(),
      picture.height * picture.width * picture.lanes, picture.lanes);
  launched("group_norm");
}

}  // namespace

void CudaKernels::group_norm(const GroupNormArguments& a) {
  const Tensor& x = a.x;
  if (x.numel() == 0) return;
  const int64_t batch = x.dim(0), groups = a.groups, per_group = x.dim(1) / groups;
  const Workspace workspace(x);
  sum_channels(device_, x, x, workspace);
  forward_coefficients_kernel<<<blocks_for(batch * groups), kThreads, 0, device_.stream()>>>(
      workspace.sum(), numbers(a.w), numbers(a.b), batch, groups, per_group,
      static_cast<double>(per_group * x.dim(2) * x.dim(3)), a.epsilon, a.mean.floats(), a.rstd.floats(),
      workspace.coefficient());
  apply(device_, x, x, workspace, a.y);
}

void CudaKernels::group_norm_backward(const NormBackward& a) {
  const Tensor& x = a.x;
  if (x.numel() == 0) return;
  const int64_t batch = x.dim(0), channels = x.dim(1), groups = a.mean.dim(1), per_group = channels / groups;
  const Workspace workspace(x);
  sum_channels(device_, a.dy, x, workspace);
  backward_coefficients_kernel<<<blocks_for(batch * groups), kThreads, 0, device_.stream()>>>(
      workspace.sum(), numbers(a.w), batch, groups, per_group,
      static_cast<double>(per_group * x.dim(2) * x.dim(3)), a.mean.floats(), a.rstd.floats(),
      workspace.coefficient());
  parameter_gradients_kernel<<<blocks_for(channels), kThreads, 0, device_.stream()>>>(
      workspace.sum(), batch, channels, per_group, a.mean.floats(), a.rstd.floats(), numbers(a.dw),
      numbers(a.db));
  apply(device_, a.dy, x, workspace, a.dx);
}

}  // namespace dalle1
