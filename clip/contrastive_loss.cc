#include "clip/contrastive_loss.h"

#include <numeric>

#include "core/ops/elementwise.h"
#include "core/ops/linear.h"
#include "core/ops/movement.h"
#include "core/ops/reduce.h"
#include "core/ops/softmax.h"

namespace dalle1::clip {

Tensor contrastive_loss(Context& context, const Tensor& image_features, const Tensor& text_features,
                        const Tensor& logit_scale, const Tensor& excluded) {
  const int64_t batch = image_features.dim(0), texts = text_features.dim(0);
  check(texts >= batch && excluded.shape() == Shape({batch, texts}), ErrorKind::internal,
        "contrastive_loss: {} texts and exclusions {} for {} pictures", texts, excluded.shape().str(), batch);
  const Tensor cosines = ops::linear(context, ops::l2_normalise(context, image_features),
                                     ops::l2_normalise(context, text_features));
  const Tensor scale = ops::reshape(context, ops::exp(context, logit_scale), {1, 1});
  const Tensor logits = ops::add(context, ops::mul(context, cosines, scale), excluded);
  const Tensor of_captions = ops::permute(context, ops::slice(context, logits, 1, 0, batch), {1, 0});

  std::vector<int64_t> own(static_cast<size_t>(batch));
  std::iota(own.begin(), own.end(), 0);
  const Tensor targets = Tensor::from(*context.device, {batch}, own);
  const Tensor weights = Tensor::full(*context.device, {batch}, 0.5f / static_cast<float>(batch));
  return ops::add(context, ops::cross_entropy(context, logits, targets, weights),
                  ops::cross_entropy(context, of_captions, targets, weights));
}

}  // namespace dalle1::clip
