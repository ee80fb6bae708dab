// What surrounds a convolution in channels_last: kernels that conv.cc, which is plain C++, calls.
#pragma once

#include "core/cuda/cuda_device.h"

namespace dalle1::cuda {

/// y = residual + gain * (y + bias), then ReLU if set; y [B, C, H, W] channels_last, bias [C] or null.
void finish_convolution(const CudaDevice& device, const Tensor* bias, const Conv2dEpilogue& epilogue,
                        const Tensor& y);

/// y [C] = the sum of x [B, C, H, W] channels_last over all pixels.
void sum_pixels(CudaDevice& device, const Tensor& x, const Tensor& y);

}  // namespace dalle1::cuda
