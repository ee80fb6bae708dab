// The contrastive loss of CLIP (Radford et al. 2021, figure 3) with wrong captions and pictures as further
// negatives.
#pragma once

#include "core/tensor/context.h"

namespace dalle1::clip {

/// Mean over pictures of the cross-entropy of their caption among all texts, and over captions of that of
/// their picture among all pictures; the mean of both, as [1].
/// image_features [B + N, D] and text_features [B + M, D] unnormalised, text i belongs to picture i for i <
/// B; the other N pictures are only wrong ones of captions, the other M texts only wrong ones of pictures.
/// `pairs` is B; logit_scale [] = ln(scale); excluded f32 [B + N, B + M] is 0, or kExcluded where a text and
/// a picture count neither as right nor as wrong for each other.
Tensor contrastive_loss(Context& context, const Tensor& image_features, const Tensor& text_features,
                        int64_t pairs, const Tensor& logit_scale, const Tensor& excluded);

/// Added to a logit, it leaves no probability.
inline constexpr float kExcluded = -1e9f;

}  // namespace dalle1::clip
