// Convolutions by cuDNN, in channels_last. Its classic interface is deprecated in version 9 in favour of
// graphs, but does all that is needed here in a fraction of the code; this file alone uses it.
//
// cuDNN pads both sides alike; where a geometry does not, the picture is padded first. Only deterministic
// algorithms are taken, and a shape keeps the one that was chosen first. Where there is none the convolution
// is a product (conv_products.h).
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

#include <cudnn.h>

#include <map>
#include <mutex>

#include "core/cuda/conv_products.h"
#include "core/cuda/conv_steps.h"
#include "core/cuda/converted.h"
#include "core/cuda/cuda_error.h"

namespace dalle1 {
namespace {

void require(cudnnStatus_t status, const char* what) {
  check(status == CUDNN_STATUS_SUCCESS, ErrorKind::device, "cuDNN: {} failed: {}", what,
        cudnnGetErrorString(status));
}

enum class Direction : uint8_t { forward, backward_data, backward_weights };

/// x [batch, in, in_height, in_width], y [batch, out, out_height, out_width].
struct ConvolutionShape {
  Direction direction;
  int batch, in, in_height, in_width, out, out_height, out_width, kernel_height, kernel_width;
  int stride, pad_height, pad_width;
  DType dtype;
  auto operator<=>(const ConvolutionShape&) const = default;
};

ConvolutionShape shape_of(Direction direction, const Tensor& x, int64_t kernel_height, int64_t kernel_width,
                          const Tensor& y, const Conv2dGeometry& g) {
  const auto extent = [](int64_t value) { return static_cast<int>(value); };
  return {direction,
          extent(x.dim(0)),
          extent(x.dim(1)),
          extent(x.dim(2)),
          extent(x.dim(3)),
          extent(y.dim(1)),
          extent(y.dim(2)),
          extent(y.dim(3)),
          extent(kernel_height),
          extent(kernel_width),
          g.stride,
          g.pad_top,
          g.pad_left,
          x.dtype()};
}

// Best first. f32 is full f32: every other type lets it become TF32.
std::vector<cudnnMathType_t> math_types(DType dtype) {
  if (dtype == DType::f32) return {CUDNN_FMA_MATH};
  return {CUDNN_TENSOR_OP_MATH, CUDNN_DEFAULT_MATH, CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION, CUDNN_FMA_MATH};
}

/// The descriptors of one shape, its algorithm and the scratch memory that it needs.
struct Plan {
  cudnnTensorDescriptor_t x = nullptr, y = nullptr;
  cudnnFilterDescriptor_t w = nullptr;
  cudnnConvolutionDescriptor_t convolution = nullptr;
  int algorithm = 0;
  size_t workspace = 0;
  bool possible = false, has_run = false;

  explicit Plan(const ConvolutionShape& s) {
    const cudnnDataType_t type = s.dtype == DType::bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
    require(cudnnCreateTensorDescriptor(&x), "describing a picture");
    require(cudnnCreateTensorDescriptor(&y), "describing a picture");
    require(cudnnCreateFilterDescriptor(&w), "describing weights");
    require(cudnnCreateConvolutionDescriptor(&convolution), "describing a convolution");
    require(cudnnSetTensor4dDescriptor(x, CUDNN_TENSOR_NHWC, type, s.batch, s.in, s.in_height, s.in_width),
            "describing a picture");
    require(cudnnSetTensor4dDescriptor(y, CUDNN_TENSOR_NHWC, type, s.batch, s.out, s.out_height, s.out_width),
            "describing a picture");
    require(
        cudnnSetFilter4dDescriptor(w, type, CUDNN_TENSOR_NHWC, s.out, s.in, s.kernel_height, s.kernel_width),
        "describing weights");
    require(cudnnSetConvolution2dDescriptor(convolution, s.pad_height, s.pad_width, s.stride, s.stride, 1, 1,
                                            CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT),
            "describing a convolution");
  }
  ~Plan() {
    cudnnDestroyConvolutionDescriptor(convolution);
    cudnnDestroyFilterDescriptor(w);
    cudnnDestroyTensorDescriptor(y);
    cudnnDestroyTensorDescriptor(x);
  }
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  void choose(cudnnHandle_t handle, const ConvolutionShape& s) {
    if (s.direction == Direction::forward) {
      possible = take_best<cudnnConvolutionFwdAlgoPerf_t>(
          s.dtype,
          [&](auto... results) {
            return cudnnGetConvolutionForwardAlgorithm_v7(handle, x, w, convolution, y, results...);
          },
          [&](auto... result) {
            return cudnnGetConvolutionForwardWorkspaceSize(handle, x, w, convolution, y, result...);
          });
    } else if (s.direction == Direction::backward_data) {
      possible = take_best<cudnnConvolutionBwdDataAlgoPerf_t>(
          s.dtype,
          [&](auto... results) {
            return cudnnGetConvolutionBackwardDataAlgorithm_v7(handle, w, y, convolution, x, results...);
          },
          [&](auto... result) {
            return cudnnGetConvolutionBackwardDataWorkspaceSize(handle, w, y, convolution, x, result...);
          });
    } else {
      possible = take_best<cudnnConvolutionBwdFilterAlgoPerf_t>(
          s.dtype,
          [&](auto... results) {
            return cudnnGetConvolutionBackwardFilterAlgorithm_v7(handle, x, y, convolution, w, results...);
          },
          [&](auto... result) {
            return cudnnGetConvolutionBackwardFilterWorkspaceSize(handle, x, y, convolution, w, result...);
          });
    }
  }

 private:
  void set_math(cudnnMathType_t type) const {
    require(cudnnSetConvolutionMathType(convolution, type), "describing a convolution");
  }

  // The first deterministic proposal that the library takes with the arithmetic wanted of it.
  template <typename Proposal, typename Propose, typename Measure>
  bool take_best(DType dtype, const Propose& propose, const Measure& measure) {
    constexpr int kMost = 16;
    constexpr size_t kMostWorkspace = size_t{1} << 30;
    for (const cudnnMathType_t math : math_types(dtype)) {
      Proposal found[kMost];
      int count = 0;
      set_math(math);
      if (propose(kMost, &count, found) != CUDNN_STATUS_SUCCESS) continue;
      for (int i = 0; i < count; ++i) {
        if (found[i].status != CUDNN_STATUS_SUCCESS || found[i].determinism != CUDNN_DETERMINISTIC) continue;
        // A proposal may name another type than it was asked for, which in f32 would be TF32.
        set_math(dtype == DType::f32 ? math : found[i].mathType);
        size_t bytes = 0;
        if (measure(found[i].algo, &bytes) != CUDNN_STATUS_SUCCESS || bytes > kMostWorkspace) continue;
        algorithm = found[i].algo;
        workspace = bytes;
        return true;
      }
    }
    return false;
  }
};

bool symmetric(const Conv2dGeometry& g) { return g.pad_top == g.pad_bottom && g.pad_left == g.pad_right; }

bool is_padded(const Conv2dGeometry& g) { return g.pad_top || g.pad_left || g.pad_bottom || g.pad_right; }

Tensor empty_picture(const Tensor& like, const Shape& shape) {
  return Tensor::empty(like.device(), shape, like.dtype(), Layout::channels_last);
}

Tensor in_channels_last(const Tensor& x) {
  if (x.layout() == Layout::channels_last) return x;
  Tensor y = empty_picture(x, x.shape());
  x.kernels().reorder(x, y);
  return y;
}

Shape padded_shape(const Tensor& x, const Conv2dGeometry& g) {
  return {x.dim(0), x.dim(1), x.dim(2) + g.pad_top + g.pad_bottom, x.dim(3) + g.pad_left + g.pad_right};
}

// Copies a channels_last picture into the middle of a padded one, or back.
void copy_inner(const Tensor& inner, const Tensor& padded, const Conv2dGeometry& g, bool into_padded) {
  const int64_t channels = inner.dim(1), row = inner.dim(3) * channels, wide = padded.dim(3) * channels;
  const std::vector<int64_t> narrow_strides{inner.dim(2) * row, row, 1};
  const std::vector<int64_t> wide_strides{padded.dim(2) * wide, wide, 1};
  const int64_t offset = g.pad_top * wide + g.pad_left * channels;
  Kernels::StridedCopy copy;
  copy.extents = {inner.dim(0), inner.dim(2), row};
  copy.strides_x = into_padded ? narrow_strides : wide_strides;
  copy.strides_y = into_padded ? wide_strides : narrow_strides;
  (into_padded ? copy.offset_y : copy.offset_x) = offset;
  Tensor target = into_padded ? padded : inner;
  inner.kernels().strided_copy(copy, into_padded ? inner : padded, target);
}

Tensor padded(const Tensor& x, const Conv2dGeometry& g) {
  if (!is_padded(g)) return x;
  Tensor y = empty_picture(x, padded_shape(x, g));
  x.device().fill_zero(y.raw(), y.bytes());
  copy_inner(x, y, g, true);
  return y;
}

// [O, C, kh, kw] to [O, kh, kw, C] or, with `back`, the other way.
void permute_weights(const Tensor& w, const Tensor& filter, bool back) {
  const int64_t in = w.dim(1), height = w.dim(2), width = w.dim(3);
  const std::vector<int64_t> plain{in * height * width, width, 1, height * width};
  const std::vector<int64_t> last{height * width * in, width * in, in, 1};
  Kernels::StridedCopy copy;
  copy.extents = {w.dim(0), height, width, in};
  copy.strides_x = back ? last : plain;
  copy.strides_y = back ? plain : last;
  Tensor target = back ? w : filter;
  w.kernels().strided_copy(copy, back ? filter : w, target);
}

// The weights as cuDNN takes them, kept with `w` until they change.
Tensor filter_of(const Tensor& w, DType dtype) {
  const Tensor rounded = cuda::converted(w, dtype);
  return w.with_prepared<cuda::PreparedWeights>([&](cuda::PreparedWeights& weights) {
    if (weights.filter.defined() && weights.filter.dtype() == dtype) return weights.filter;
    weights.filter = Tensor::empty(w.device(), {w.dim(0), w.dim(2), w.dim(3), w.dim(1)}, dtype);
    permute_weights(rounded, weights.filter, false);
    return weights.filter;
  });
}

}  // namespace

struct CudaKernels::Convolutions {
  explicit Convolutions(CudaDevice& device) : device(device) {
    device.stream();
    require(cudnnCreate(&handle), "making a handle");
    require(cudnnSetStream(handle, device.stream()), "choosing the stream");
  }
  ~Convolutions() {
    plans.clear();
    cudnnDestroy(handle);
  }

  /// Calls work(plan, its scratch memory) unless cuDNN has no algorithm for the shape, or then has none.
  template <typename Work>
  bool run(const ConvolutionShape& shape, const char* what, const Work& work) {
    std::lock_guard lock(mutex);
    Plan& found = plan(shape);
    if (!found.possible) return false;
    device.stream();
    const cudnnStatus_t status = work(found, device.workspace(found.workspace));
    found.possible = found.has_run || status != CUDNN_STATUS_NOT_SUPPORTED;
    if (!found.possible) return false;
    require(status, what);
    found.has_run = true;
    return true;
  }

  Plan& plan(const ConvolutionShape& shape) {
    auto& place = plans[shape];
    if (!place) {
      auto made = std::make_unique<Plan>(shape);
      made->choose(handle, shape);
      place = std::move(made);
    }
    return *place;
  }

  CudaDevice& device;
  cudnnHandle_t handle = nullptr;
  std::mutex mutex;
  std::map<ConvolutionShape, std::unique_ptr<Plan>> plans;
};

CudaKernels::Convolutions& CudaKernels::convolutions() {
  if (!convolutions_) convolutions_ = std::make_shared<Convolutions>(device_);
  return *convolutions_;
}

Layout CudaKernels::preferred_layout(int64_t) const { return Layout::channels_last; }

void CudaKernels::conv2d(const Conv2dArguments& a) {
  const Tensor& w = a.w;
  const Conv2dEpilogue& epilogue = a.epilogue;
  Tensor& y = a.y;
  if (y.layout() != Layout::channels_last ||
      (epilogue.residual && epilogue.residual->layout() != y.layout())) {
    Tensor last = empty_picture(y, y.shape());
    Conv2dEpilogue same = epilogue;
    const Tensor residual = epilogue.residual ? in_channels_last(*epilogue.residual) : Tensor();
    if (epilogue.residual) same.residual = &residual;
    conv2d({a.x, w, a.bias, a.geometry, same, last});
    return reorder(last, y);
  }
  Tensor input = in_channels_last(a.x);
  Conv2dGeometry g = a.geometry;
  if (!symmetric(g)) {
    input = padded(input, g);
    g = {g.stride};
  }
  const Tensor filter = filter_of(w, a.x.dtype());
  Convolutions& all = convolutions();
  const float one = 1.0f, zero = 0.0f;
  if (!all.run(shape_of(Direction::forward, input, w.dim(2), w.dim(3), y, g), "conv2d",
               [&](const Plan& plan, void* workspace) {
                 return cudnnConvolutionForward(all.handle, &one, plan.x, input.raw(), plan.w, filter.raw(),
                                                plan.convolution,
                                                static_cast<cudnnConvolutionFwdAlgo_t>(plan.algorithm),
                                                workspace, plan.workspace, &zero, plan.y, y.raw());
               }))
    cuda::product_conv2d(padded(input, g), filter, g.stride, y);
  cuda::finish_convolution(device_, a.bias, epilogue, y);
}

void CudaKernels::conv2d_backward_data(const Tensor& dy, const Tensor& w, const Conv2dGeometry& geometry,
                                       Tensor& dx) {
  if (dx.layout() != Layout::channels_last) {
    Tensor last = empty_picture(dx, dx.shape());
    conv2d_backward_data(dy, w, geometry, last);
    return reorder(last, dx);
  }
  const Tensor gradient = in_channels_last(dy), filter = filter_of(w, dy.dtype());
  Conv2dGeometry g = geometry;
  Tensor target = dx;
  const auto pad_target = [&] {
    target = empty_picture(dx, padded_shape(dx, geometry));
    g = {g.stride};
  };
  if (!symmetric(g)) pad_target();
  Convolutions& all = convolutions();
  const float one = 1.0f, zero = 0.0f;
  if (!all.run(shape_of(Direction::backward_data, target, w.dim(2), w.dim(3), gradient, g),
               "conv2d_backward_data", [&](const Plan& plan, void* workspace) {
                 return cudnnConvolutionBackwardData(
                     all.handle, &one, plan.w, filter.raw(), plan.y, gradient.raw(), plan.convolution,
                     static_cast<cudnnConvolutionBwdDataAlgo_t>(plan.algorithm), workspace, plan.workspace,
                     &zero, plan.x, target.raw());
               })) {
    if (is_padded(g)) pad_target();
    cuda::product_conv2d_data(gradient, filter, g.stride, target);
  }
  if (target.id() != dx.id()) copy_inner(dx, target, geometry, false);
}

void CudaKernels::conv2d_backward_weights(const Conv2dWeightsBackward& a) {
  Tensor& dw = a.dw;
  Tensor input = in_channels_last(a.x);
  const Tensor gradient = in_channels_last(a.dy);
  Conv2dGeometry g = a.geometry;
  if (!symmetric(g)) {
    input = padded(input, g);
    g = {g.stride};
  }
  const Shape by_row{dw.dim(0), dw.dim(2), dw.dim(3), dw.dim(1)};
  Tensor filter = Tensor::empty(dw.device(), by_row, a.x.dtype());
  Convolutions& all = convolutions();
  const float one = 1.0f, zero = 0.0f;
  if (!all.run(shape_of(Direction::backward_weights, input, dw.dim(2), dw.dim(3), gradient, g),
               "conv2d_backward_weights", [&](const Plan& plan, void* workspace) {
                 return cudnnConvolutionBackwardFilter(
                     all.handle, &one, plan.x, input.raw(), plan.y, gradient.raw(), plan.convolution,
                     static_cast<cudnnConvolutionBwdFilterAlgo_t>(plan.algorithm), workspace, plan.workspace,
                     &zero, plan.w, filter.raw());
               })) {
    filter = Tensor::empty(dw.device(), by_row);
    cuda::product_conv2d_weights(padded(input, g), gradient, g.stride, filter);
  }
  permute_weights(dw, filter.to(dw.dtype()), true);
  if (a.dbias) cuda::sum_pixels(device_, gradient, *a.dbias);
}

}  // namespace dalle1
