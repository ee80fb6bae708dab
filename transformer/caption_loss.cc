#include "transformer/caption_loss.h"

#include <algorithm>
#include <numeric>

#include "core/ops/movement.h"
#include "transformer/sampler.h"

namespace dalle1::transformer {
namespace {

// Hidden states of the text's positions, [B * S, C].
Tensor text_states(Context& context, const Captioner& model, const Tensor& vectors, const CaptionRows& rows) {
  WholeSequence sequence(model.patterns(), model.config().heads);
  const Tensor hidden = model.trunk(context, model.embed(context, vectors, rows.inputs), sequence);
  const int64_t first = model.config().sequence().text().begin;
  return ops::reshape(context, ops::slice(context, hidden, 1, first, first + rows.slots()),
                      {-1, model.config().width});
}

}  // namespace

int64_t CaptionRows::target_count() const {
  return std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
}

CaptionRows caption_rows(Device& device, const CaptionerConfig& config,
                         std::span<const std::vector<int32_t>> captions, bool truncate) {
  const auto most = static_cast<size_t>(config.text_slots) - 1;
  CaptionRows rows;
  for (const auto& ids : captions) {
    check(ids.size() <= most || truncate, ErrorKind::input,
          "the text has {} tokens, {} more than the captioner takes; shorten it or have it truncated",
          ids.size(), ids.size() - most);
    for (const int32_t id : ids)
      check(id >= 0 && id < config.text_vocab, ErrorKind::model,
            "the tokenizer gave id {}, but the captioner has {} text tokens; they do not belong together", id,
            config.text_vocab);
    rows.lengths.push_back(static_cast<int32_t>(std::min(ids.size(), most)) + 1);
  }
  const int32_t slots = *std::max_element(rows.lengths.begin(), rows.lengths.end());
  std::vector<int64_t> inputs;
  for (size_t b = 0; b < captions.size(); ++b) {
    inputs.push_back(config.bos());
    for (int32_t s = 0; s < slots; ++s) {
      const int64_t id = s + 1 < rows.lengths[b] ? captions[b][s] : config.eos();
      rows.targets.push_back(id);
      if (s + 1 < slots) inputs.push_back(id);
    }
  }
  rows.inputs = Tensor::from(device, {static_cast<int64_t>(captions.size()), slots}, inputs);
  return rows;
}

Tensor caption_loss(Context& context, const Captioner& model, const Tensor& vectors,
                    const CaptionRows& rows) {
  const Tensor hidden = text_states(context, model, vectors, rows);
  const float share = 1.0f / static_cast<float>(rows.target_count());
  std::vector<float> weights(rows.targets.size(), 0.0f);
  for (size_t b = 0; b < rows.lengths.size(); ++b)
    std::fill_n(weights.begin() + static_cast<int64_t>(b) * rows.slots(), rows.lengths[b], share);
  Device& device = model.device();
  const auto count = static_cast<int64_t>(rows.targets.size());
  return model.head()
      .cross_entropy(context, hidden, Tensor::from(device, {count}, rows.targets),
                     Tensor::from(device, {count}, weights))
      .loss;
}

std::vector<double> log_likelihood(Context& context, const Captioner& model, const Tensor& vectors,
                                   const CaptionRows& rows) {
  Context plain = context.untaped();
  const Tensor logits = model.logits(plain, text_states(plain, model, vectors, rows));
  const auto values = log_probabilities(logits, rows.targets);
  std::vector<double> sums;
  for (size_t b = 0; b < rows.lengths.size(); ++b) {
    const auto first = values.begin() + static_cast<int64_t>(b) * rows.slots();
    sums.push_back(std::accumulate(first, first + rows.lengths[b], 0.0));
  }
  return sums;
}

}  // namespace dalle1::transformer
