// What a decoder's raw output is compared with pictures by.
#pragma once

#include "core/tensor/context.h"

namespace dalle1::dvae {

enum class Reconstruction : uint8_t {
  logit_laplace,  ///< The paper's likelihood (appendix A.3), ln b held above `ln_b_floor`.
  mse,            ///< Squared error of pixels in [0, 1].
  l1_l2           ///< |error| + 5 error^2.
};

/// Mean over pixels and channels, as [1]. stats [B, 6, H, W] (three means, three ln b; only logit_laplace
/// reads ln b), images [B, 3, H, W] in [0, 1].
Tensor reconstruction_loss(Context& context, Reconstruction kind, const Tensor& stats, const Tensor& images,
                           float ln_b_floor);

/// Mean over positions of the divergence of softmax(logits) from the uniform distribution, as [1]: ln V minus
/// the entropy. logits [.., V].
Tensor divergence_from_uniform(Context& context, const Tensor& logits);

}  // namespace dalle1::dvae
