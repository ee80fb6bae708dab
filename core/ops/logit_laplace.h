// The likelihood of pixels in the dVAE.
#pragma once

#include "core/tensor/context.h"

namespace dalle1::ops {

/// Negative log-likelihood of the logit-Laplace distribution (DALL-E paper, appendix A.3), elementwise:
/// ln(2 b x (1 - x)) + |logit(x) - mu| / b. x in (0, 1), mu and ln_b of the same shape.
Tensor logit_laplace(Context& context, const Tensor& x, const Tensor& mu, const Tensor& ln_b);

/// x of [0, 1] to the support that the likelihood is used on, [0.1, 0.9]: 0.8 x + 0.1; and back, clamped to
/// [0, 1].
Tensor map_pixels(Context& context, const Tensor& x);
Tensor unmap_pixels(const Tensor& y);

}  // namespace dalle1::ops
