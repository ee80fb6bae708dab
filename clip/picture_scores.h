// Figures that CLIP gives of pictures, and of pictures with captions.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/tensor/tensor.h"

namespace dalle1::clip {

/// Cosine of picture i and text i, of unnormalised features [N, D].
std::vector<double> paired_cosines(const Tensor& images, const Tensor& texts);

/// CLIPScore of a cosine: 2.5 max(cosine, 0) (Hessel et al. 2021, "CLIPScore: A Reference-free Evaluation
/// Metric for Image Captioning", section 3). The text is the caption with this in front.
double clip_score(double cosine);
inline constexpr std::string_view kClipScorePrefix = "A photo depicts ";

/// Fréchet distance of the normal distributions that have the means m and covariances S (over N - 1) of two
/// sets of features [N, width]: |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) (Heusel et al. 2017, "GANs
/// Trained by a Two Time-Scale Update Rule", eq. 6). In double; Error(input) unless both sets have two or
/// more.
double frechet_distance(std::span<const float> a, std::span<const float> b, int64_t width);

}  // namespace dalle1::clip
