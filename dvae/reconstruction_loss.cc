#include "dvae/reconstruction_loss.h"

#include <cmath>

#include "core/ops/elementwise.h"
#include "core/ops/logit_laplace.h"
#include "core/ops/movement.h"
#include "core/ops/reduce.h"
#include "core/ops/softmax.h"

namespace dalle1::dvae {

Tensor reconstruction_loss(Context& context, Reconstruction kind, const Tensor& stats, const Tensor& images,
                           float ln_b_floor) {
  const int64_t channels = images.dim(1);
  const Tensor mu = ops::slice(context, stats, 1, 0, channels);
  const Tensor target = ops::map_pixels(context, images);
  if (kind == Reconstruction::logit_laplace) {
    // An unbounded likelihood (b towards 0 on flat colours) would drown everything else.
    const Tensor floor = Tensor::full(images.device(), images.shape(), ln_b_floor);
    const Tensor ln_b = ops::maximum(context, ops::slice(context, stats, 1, channels, 2 * channels), floor);
    return ops::mean(context, ops::logit_laplace(context, target, mu, ln_b));
  }
  // The pixel that image_of() makes of mu, before it is clamped, minus the given one.
  constexpr float mapped_range = 0.8f;
  const Tensor error =
      ops::affine(context, ops::sub(context, ops::sigmoid(context, mu), target), 1.0f / mapped_range);
  const Tensor squared = ops::mean(context, ops::square(context, error));
  if (kind == Reconstruction::mse) return squared;
  constexpr float square_weight = 5.0f;
  return ops::add(context, ops::mean(context, ops::abs(context, error)),
                  ops::affine(context, squared, square_weight));
}

Tensor divergence_from_uniform(Context& context, const Tensor& logits) {
  constexpr float least = 1e-20f;  // p ln p goes to 0 with p
  const Tensor p = ops::softmax(context, logits);
  const Tensor plogp = ops::mul(context, p, ops::log(context, ops::affine(context, p, 1.0f, least)));
  const auto positions = static_cast<float>(logits.numel() / logits.dim(-1));
  return ops::affine(context, ops::sum(context, plogp), 1.0f / positions,
                     std::log(static_cast<float>(logits.dim(-1))));
}

}  // namespace dalle1::dvae
