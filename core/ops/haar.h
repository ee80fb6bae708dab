// Inverse Haar wavelet transform.
#pragma once

#include "core/tensor/context.h"

namespace dalle1::ops {

/// One level of synthesis: low [B, C, h, w] and high [B, C, 3, h, w] (horizontal, vertical, diagonal detail,
/// in the order of PyWavelets' (LH, HL, HH)) to [B, C, 2h, 2w]. Every output is half of a signed sum of the
/// four bands.
Tensor inverse_haar(Context& context, const Tensor& low, const Tensor& high);

}  // namespace dalle1::ops
