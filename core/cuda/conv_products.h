// Convolutions as products of patches and weights (im2col), for shapes that cuDNN has no algorithm for.
//
// Pictures [B, C, H, W] channels_last that are padded already; filters [O, kh, kw, C]. Patches are made for
// as many pictures at a time as a bounded buffer holds. Every sum has a fixed order.
#pragma once

#include "core/kernels/kernels.h"

namespace dalle1::cuda {

/// y [B, O, oh, ow] = x * filter.
void product_conv2d(const Tensor& x, const Tensor& filter, int stride, const Tensor& y);
/// dx, of x's shape and dy's type, from dy.
void product_conv2d_data(const Tensor& dy, const Tensor& filter, int stride, const Tensor& dx);
/// dfilter [O, kh, kw, C] f32.
void product_conv2d_weights(const Tensor& x, const Tensor& dy, int stride, const Tensor& dfilter);

}  // namespace dalle1::cuda
