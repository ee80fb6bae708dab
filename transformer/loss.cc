#include "transformer/loss.h"

#include <algorithm>

#include "core/ops/elementwise.h"
#include "core/ops/movement.h"

namespace dalle1::transformer {
namespace {

// Row p of the input predicts token p + shift of text followed by image; which rows count, by convention.
struct TargetRows {
  int64_t shift;
  int64_t text_end;  // text rows are [0, text_end)
  int64_t image_begin, image_end;
};

TargetRows target_rows(const TransformerConfig& config, int64_t slots) {
  const int64_t shift = config.prepended() ? 0 : 1;
  const bool paper = config.loss == "paper";
  return {shift, paper ? slots - 1 : slots, paper ? slots - 1 : slots, slots + config.cells() - shift};
}

struct Targets {
  std::vector<int64_t> ids;
  std::vector<float> weights;
};

Targets text_targets(const TransformerConfig& config, const TokenBatch& batch, const TargetRows& rows,
                     bool all_padding) {
  const auto text = batch.text.to_ints(), image = batch.image.to_ints();
  const int64_t slots = batch.text.dim(1);
  Targets targets;
  for (int64_t b = 0; b < batch.text.dim(0); ++b) {
    bool padding_seen = false;
    for (int64_t row = 0; row < rows.text_end; ++row) {
      const int64_t token = row + rows.shift;
      const int64_t id = token < slots ? text[b * slots + token] : image[b * config.cells() + token - slots];
      check(id >= 0 && id < config.text_classes(), ErrorKind::input,
            "target {} of text position {} is no class of the {} that the text has", id, token,
            config.text_classes());
      targets.ids.push_back(id);
      targets.weights.push_back(all_padding || !padding_seen ? 1.0f : 0.0f);
      padding_seen |= token < slots && id >= config.text_vocab;
    }
  }
  return targets;
}

Targets image_targets(const TransformerConfig& config, const TokenBatch& batch, const TargetRows& rows) {
  const auto image = batch.image.to_ints();
  const int64_t first = rows.image_begin + rows.shift - batch.text.dim(1), cells = config.cells();
  Targets targets;
  for (int64_t b = 0; b < batch.image.dim(0); ++b) {
    targets.ids.insert(targets.ids.end(), image.begin() + b * cells + first, image.begin() + (b + 1) * cells);
  }
  for (int64_t id : targets.ids) {
    check(id >= 0 && id < config.image_vocab, ErrorKind::input, "image token {} is outside the {} codes", id,
          config.image_vocab);
  }
  targets.weights.assign(targets.ids.size(), 1.0f);
  return targets;
}

struct Part {
  Tensor weighted;  // [1]: share * mean cross entropy
  double mean = 0;  // nats per target
  std::vector<float> losses;
};

// share * mean cross entropy of rows [begin, end) of hidden [B, T, C]; mean over rows of weight 1.
Part part_loss(Context& context, const Tensor& hidden, int64_t begin, int64_t end, const nn::Linear& head,
               Targets targets, double share) {
  Tensor rows = ops::slice(context, hidden, 1, begin, end);
  rows = ops::reshape(context, rows, {-1, hidden.dim(2)});
  double count = 0;
  for (float weight : targets.weights) count += weight;
  std::vector<float> scaled = targets.weights;
  for (float& weight : scaled) weight *= static_cast<float>(share / std::max(count, 1.0));
  Device& device = hidden.device();
  const auto [loss, losses] =
      head.cross_entropy(context, rows, Tensor::from(device, {rows.dim(0)}, targets.ids),
                         Tensor::from(device, {rows.dim(0)}, scaled));
  Part part;
  part.weighted = loss;
  part.losses = losses.to_floats();
  for (size_t r = 0; r < part.losses.size(); ++r) part.mean += double{part.losses[r]} * targets.weights[r];
  part.mean /= std::max(count, 1.0);
  return part;
}

}  // namespace

Loss compute_loss(Context& context, const Transformer& model, const TokenBatch& batch,
                  const LossOptions& options) {
  const TransformerConfig& config = model.config();
  check(batch.text.dim(0) == batch.image.dim(0) && batch.image.dim(1) == config.cells(), ErrorKind::internal,
        "a batch of texts {} and images {} for a grid of {}", batch.text.shape(), batch.image.shape(),
        config.grid);
  const auto slots = static_cast<int32_t>(batch.text.dim(1));
  const TargetRows rows = target_rows(config, slots);
  Context plain = context.untaped();
  const Tensor cells =
      ops::slice(plain, batch.image, 1, 0, rows.image_end - config.sequence(slots).grid().begin);
  const auto sequence = whole_sequence(model, slots);
  const Tensor hidden =
      model.trunk(context, model.embed(context, batch.text, cells), sequence, options.checkpoint_blocks);
  const double whole = 1.0 + config.image_weight;
  const Part text = part_loss(context, hidden, 0, rows.text_end, model.text_head(context),
                              text_targets(config, batch, rows, options.text_padding), 1.0 / whole);
  const Part image = part_loss(context, hidden, rows.image_begin, rows.image_end, model.image_head(context),
                               image_targets(config, batch, rows), config.image_weight / whole);
  return {ops::add(context, text.weighted, image.weighted), text.mean, image.mean, image.losses};
}

}  // namespace dalle1::transformer
