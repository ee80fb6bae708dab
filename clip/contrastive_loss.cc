#include "clip/contrastive_loss.h"

#include <numeric>

#include "core/ops/elementwise.h"
#include "core/ops/linear.h"
#include "core/ops/movement.h"
#include "core/ops/reduce.h"
#include "core/ops/softmax.h"

namespace dalle1::clip {

Tensor contrastive_loss(Context& context, const Tensor& image_features, const Tensor& text_features,
                        int64_t pairs, const Tensor& logit_scale, const Tensor& excluded) {
  const int64_t pictures = image_features.dim(0), texts = text_features.dim(0);
  check(pictures >= pairs && texts >= pairs && excluded.shape() == Shape({pictures, texts}),
        ErrorKind::internal, "contrastive_loss: {} pairs, {} pictures, {} texts and exclusions {}", pairs,
        pictures, texts, excluded.shape());
  const Tensor cosines = ops::linear(context, ops::l2_normalise(context, image_features),
                                     ops::l2_normalise(context, text_features));
  const Tensor scale = ops::reshape(context, ops::exp(context, logit_scale), {1, 1});
  const Tensor logits = ops::add(context, ops::mul(context, cosines, scale), excluded);
  const Tensor of_pictures = ops::slice(context, logits, 0, 0, pairs);
  const Tensor of_captions = ops::permute(context, ops::slice(context, logits, 1, 0, pairs), {1, 0});

  std::vector<int64_t> own(static_cast<size_t>(pairs));
  std::iota(own.begin(), own.end(), 0);
  const Tensor targets = Tensor::from(*context.device, {pairs}, own);
  const Tensor weights = Tensor::full(*context.device, {pairs}, 0.5f / static_cast<float>(pairs));
  return ops::add(context, ops::cross_entropy(context, of_pictures, targets, weights),
                  ops::cross_entropy(context, of_captions, targets, weights));
}

}  // namespace dalle1::clip
