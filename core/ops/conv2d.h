// Convolution of pictures, as neural networks call it: cross-correlation with zero padding.
//
// A plain input with many channels is reordered into the device's blocked layout, and results stay in it: a
// chain of convolutions, pools and elementwise ops makes one reorder at each end.
#pragma once

#include "core/kernels/arguments.h"
#include "core/tensor/context.h"

namespace dalle1::ops {

struct Conv2dOptions {
  Conv2dGeometry geometry;
  Tensor residual;  ///< Optional, [B, O, OH, OW].
  float gain = 1.0f;
  bool relu = false;

  /// Stride 1 and the padding that keeps the size under an odd kernel.
  static Conv2dOptions same(int kernel) {
    const int pad = (kernel - 1) / 2;
    Conv2dOptions options;
    options.geometry = {1, pad, pad, pad, pad};
    return options;
  }
};

/// y = residual + gain * (x * w + bias), then ReLU if set. x [B, C, H, W], w [O, C, kh, kw], bias [O] or
/// undefined; y [B, O, OH, OW] with OH = (H + pad_top + pad_bottom - kh) / stride + 1, rounded down.
/// Error(input) when the padded picture is smaller than the kernel.
Tensor conv2d(Context& context, const Tensor& x, const Tensor& w, const Tensor& bias,
              const Conv2dOptions& options = {});

/// The transpose of conv2d as a linear map: x [B, C, H, W], w [C, O, kh, kw], bias [O] or undefined;
/// y [B, O, OH, OW] with OH = (H - 1) * stride + kh - pad_top - pad_bottom.
Tensor conv_transpose2d(Context& context, const Tensor& x, const Tensor& w, const Tensor& bias,
                        const Conv2dGeometry& geometry);

}  // namespace dalle1::ops
