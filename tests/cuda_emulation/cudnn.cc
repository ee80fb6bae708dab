#include "cudnn.h"

#include <vector>

#include "core/tensor/dtype.h"

namespace {

int64_t count(const EmulatedPicture& p) { return int64_t{p.n} * p.c * p.h * p.w; }
int64_t at(const EmulatedPicture& p, int n, int c, int h, int w) {
  return ((int64_t{n} * p.h + h) * p.w + w) * p.c + c;
}

std::vector<float> read(const EmulatedPicture& p, const void* data) {
  std::vector<float> values(count(p));
  for (int64_t i = 0; i < count(p); ++i)
    values[i] = p.type == CUDNN_DATA_BFLOAT16 ? dalle1::bf16_to_f32(static_cast<const uint16_t*>(data)[i])
                                              : static_cast<const float*>(data)[i];
  return values;
}

void write(const EmulatedPicture& p, const std::vector<float>& values, void* data) {
  for (int64_t i = 0; i < count(p); ++i) {
    if (p.type == CUDNN_DATA_BFLOAT16) {
      static_cast<uint16_t*>(data)[i] = dalle1::f32_to_bf16(values[i]);
    } else {
      static_cast<float*>(data)[i] = values[i];
    }
  }
}

// Calls body(place in x, place in the filter, place in y) for every multiplication of the convolution.
template <typename Body>
cudnnStatus_t each(const EmulatedPicture& x, const EmulatedPicture& w, const EmulatedConvolution& g,
                   const EmulatedPicture& y, const Body& body) {
  const bool fits = x.n == y.n && w.c == x.c && w.n == y.c &&
                    y.h == (x.h + 2 * g.pad_h - w.h) / g.stride_h + 1 &&
                    y.w == (x.w + 2 * g.pad_w - w.w) / g.stride_w + 1;
  if (!fits) return CUDNN_STATUS_BAD_PARAM;
  for (int n = 0; n < y.n; ++n)
    for (int row = 0; row < y.h; ++row)
      for (int column = 0; column < y.w; ++column)
        for (int r = 0; r < w.h; ++r)
          for (int s = 0; s < w.w; ++s) {
            const int h = row * g.stride_h + r - g.pad_h, v = column * g.stride_w + s - g.pad_w;
            if (h < 0 || h >= x.h || v < 0 || v >= x.w) continue;
            for (int k = 0; k < w.n; ++k)
              for (int c = 0; c < w.c; ++c)
                body(at(x, n, c, h, v), at(w, k, c, r, s), at(y, n, k, row, column));
          }
  return CUDNN_STATUS_SUCCESS;
}

using cuda_emulation::ConvolutionRefusal;

ConvolutionRefusal refusal_of(const EmulatedPicture& x, const EmulatedPicture& filter,
                              const EmulatedConvolution& convolution) {
  using cuda_emulation::refuse_convolution;
  return refuse_convolution ? refuse_convolution(x, filter, convolution.math) : ConvolutionRefusal::none;
}

// Proposes DEFAULT_MATH whatever was asked for, as the library may.
template <typename Proposal>
cudnnStatus_t propose(ConvolutionRefusal refusal, int* found, Proposal* results) {
  if (refusal == ConvolutionRefusal::no_proposals) return CUDNN_STATUS_NOT_SUPPORTED;
  *found = 1;
  const auto determinism =
      refusal == ConvolutionRefusal::not_deterministic ? CUDNN_NON_DETERMINISTIC : CUDNN_DETERMINISTIC;
  results[0] = {{}, CUDNN_STATUS_SUCCESS, 0, 1000, determinism, CUDNN_DEFAULT_MATH};
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t measure(ConvolutionRefusal refusal, size_t* bytes) {
  *bytes = 1000;
  return refusal == ConvolutionRefusal::no_workspace ? CUDNN_STATUS_NOT_SUPPORTED : CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t run(const EmulatedPicture& x, const EmulatedPicture& w, const EmulatedConvolution& convolution,
                  const EmulatedPicture& y,
                  const std::function<void(int64_t in, int64_t weight, int64_t out)>& body) {
  if (refusal_of(x, w, convolution) != ConvolutionRefusal::none) return CUDNN_STATUS_NOT_SUPPORTED;
  cuda_emulation::math_used.insert(convolution.math);
  return each(x, w, convolution, y, body);
}

}  // namespace

decltype(cuda_emulation::refuse_convolution) cuda_emulation::refuse_convolution;
std::set<cudnnMathType_t> cuda_emulation::math_used;

const char* cudnnGetErrorString(cudnnStatus_t status) {
  return status == CUDNN_STATUS_SUCCESS ? "success" : "bad parameter";
}
cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
  *handle = new EmulatedCudnn{};
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
  delete handle;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  handle->stream = stream;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t* picture) {
  *picture = new EmulatedPicture{};
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t picture) {
  delete picture;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnCreateFilterDescriptor(cudnnFilterDescriptor_t* filter) {
  return cudnnCreateTensorDescriptor(filter);
}
cudnnStatus_t cudnnDestroyFilterDescriptor(cudnnFilterDescriptor_t filter) {
  return cudnnDestroyTensorDescriptor(filter);
}
cudnnStatus_t cudnnCreateConvolutionDescriptor(cudnnConvolutionDescriptor_t* convolution) {
  *convolution = new EmulatedConvolution{};
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnDestroyConvolutionDescriptor(cudnnConvolutionDescriptor_t convolution) {
  delete convolution;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t picture, cudnnTensorFormat_t format,
                                         cudnnDataType_t type, int n, int c, int h, int w) {
  *picture = {type, n, c, h, w};
  return format == CUDNN_TENSOR_NHWC ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
}
cudnnStatus_t cudnnSetFilter4dDescriptor(cudnnFilterDescriptor_t filter, cudnnDataType_t type,
                                         cudnnTensorFormat_t format, int k, int c, int h, int w) {
  return cudnnSetTensor4dDescriptor(filter, format, type, k, c, h, w);
}
cudnnStatus_t cudnnSetConvolution2dDescriptor(cudnnConvolutionDescriptor_t convolution, int pad_h, int pad_w,
                                              int stride_h, int stride_w, int, int, cudnnConvolutionMode_t,
                                              cudnnDataType_t) {
  *convolution = {pad_h, pad_w, stride_h, stride_w, CUDNN_DEFAULT_MATH};
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t convolution, cudnnMathType_t type) {
  convolution->math = type;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnGetConvolutionForwardAlgorithm_v7(cudnnHandle_t, cudnnTensorDescriptor_t x,
                                                     cudnnFilterDescriptor_t w,
                                                     cudnnConvolutionDescriptor_t convolution,
                                                     cudnnTensorDescriptor_t, int, int* found,
                                                     cudnnConvolutionFwdAlgoPerf_t* results) {
  return propose(refusal_of(*x, *w, *convolution), found, results);
}
cudnnStatus_t cudnnGetConvolutionBackwardDataAlgorithm_v7(cudnnHandle_t, cudnnFilterDescriptor_t w,
                                                          cudnnTensorDescriptor_t,
                                                          cudnnConvolutionDescriptor_t convolution,
                                                          cudnnTensorDescriptor_t dx, int, int* found,
                                                          cudnnConvolutionBwdDataAlgoPerf_t* results) {
  return propose(refusal_of(*dx, *w, *convolution), found, results);
}
cudnnStatus_t cudnnGetConvolutionBackwardFilterAlgorithm_v7(cudnnHandle_t, cudnnTensorDescriptor_t x,
                                                            cudnnTensorDescriptor_t,
                                                            cudnnConvolutionDescriptor_t convolution,
                                                            cudnnFilterDescriptor_t dw, int, int* found,
                                                            cudnnConvolutionBwdFilterAlgoPerf_t* results) {
  return propose(refusal_of(*x, *dw, *convolution), found, results);
}
cudnnStatus_t cudnnGetConvolutionForwardWorkspaceSize(cudnnHandle_t, cudnnTensorDescriptor_t x,
                                                      cudnnFilterDescriptor_t w,
                                                      cudnnConvolutionDescriptor_t convolution,
                                                      cudnnTensorDescriptor_t, cudnnConvolutionFwdAlgo_t,
                                                      size_t* bytes) {
  return measure(refusal_of(*x, *w, *convolution), bytes);
}
cudnnStatus_t cudnnGetConvolutionBackwardDataWorkspaceSize(cudnnHandle_t, cudnnFilterDescriptor_t w,
                                                           cudnnTensorDescriptor_t,
                                                           cudnnConvolutionDescriptor_t convolution,
                                                           cudnnTensorDescriptor_t dx,
                                                           cudnnConvolutionBwdDataAlgo_t, size_t* bytes) {
  return measure(refusal_of(*dx, *w, *convolution), bytes);
}
cudnnStatus_t cudnnGetConvolutionBackwardFilterWorkspaceSize(cudnnHandle_t, cudnnTensorDescriptor_t x,
                                                             cudnnTensorDescriptor_t,
                                                             cudnnConvolutionDescriptor_t convolution,
                                                             cudnnFilterDescriptor_t dw,
                                                             cudnnConvolutionBwdFilterAlgo_t, size_t* bytes) {
  return measure(refusal_of(*x, *dw, *convolution), bytes);
}
cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t, const void*, cudnnTensorDescriptor_t x_picture,
                                      const void* x, cudnnFilterDescriptor_t filter, const void* w,
                                      cudnnConvolutionDescriptor_t convolution, cudnnConvolutionFwdAlgo_t,
                                      void*, size_t, const void*, cudnnTensorDescriptor_t y_picture,
                                      void* y) {
  const auto in = read(*x_picture, x), weights = read(*filter, w);
  std::vector<float> out(count(*y_picture));
  const auto status = run(*x_picture, *filter, *convolution, *y_picture,
                          [&](int64_t i, int64_t j, int64_t o) { out[o] += in[i] * weights[j]; });
  write(*y_picture, out, y);
  return status;
}
cudnnStatus_t cudnnConvolutionBackwardData(cudnnHandle_t, const void*, cudnnFilterDescriptor_t filter,
                                           const void* w, cudnnTensorDescriptor_t dy_picture, const void* dy,
                                           cudnnConvolutionDescriptor_t convolution,
                                           cudnnConvolutionBwdDataAlgo_t, void*, size_t, const void*,
                                           cudnnTensorDescriptor_t dx_picture, void* dx) {
  const auto gradient = read(*dy_picture, dy), weights = read(*filter, w);
  std::vector<float> out(count(*dx_picture));
  const auto status = run(*dx_picture, *filter, *convolution, *dy_picture,
                          [&](int64_t i, int64_t j, int64_t o) { out[i] += gradient[o] * weights[j]; });
  write(*dx_picture, out, dx);
  return status;
}
cudnnStatus_t cudnnConvolutionBackwardFilter(cudnnHandle_t, const void*, cudnnTensorDescriptor_t x_picture,
                                             const void* x, cudnnTensorDescriptor_t dy_picture,
                                             const void* dy, cudnnConvolutionDescriptor_t convolution,
                                             cudnnConvolutionBwdFilterAlgo_t, void*, size_t, const void*,
                                             cudnnFilterDescriptor_t filter, void* dw) {
  const auto in = read(*x_picture, x), gradient = read(*dy_picture, dy);
  std::vector<float> out(count(*filter));
  const auto status = run(*x_picture, *filter, *convolution, *dy_picture,
                          [&](int64_t i, int64_t j, int64_t o) { out[j] += in[i] * gradient[o]; });
  write(*filter, out, dw);
  return status;
}
