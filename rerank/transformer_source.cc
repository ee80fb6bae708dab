#include "rerank/transformer_source.h"

#include <algorithm>
#include <numeric>

#include "core/error.h"
#include "core/ops/argmax.h"

namespace dalle1::rerank {

TransformerSource::TransformerSource(std::shared_ptr<const transformer::Transformer> model, Device& device,
                                     transformer::DecodeRequest request, std::shared_ptr<StepSharing> sharing)
    : model_(std::move(model)),
      context_(device),
      request_(std::move(request)),
      forced_(forced_ranges(request_.forced)),
      sharing_(std::move(sharing)) {}

void TransformerSource::prefill() {
  if (decoder_ || prompt_) return;
  if (!sharing_) {
    decoder_ = std::make_unique<transformer::Decoder>(context_, *model_, request_);
    return;
  }
  sharing_->turns.take(DeviceTurns::other,
                       [&] { prompt_ = std::make_unique<transformer::Prompt>(context_, *model_, request_); });
}

transformer::Decoded TransformerSource::decode(std::span<const uint32_t> candidates,
                                               const StepCallback& step) {
  if (decoder_) {
    so_far_ = [this] { return decoder_->tokens_so_far(); };
    transformer::Decoder::Hooks hooks;
    hooks.progress = step;
    return decoder_->decode(candidates, hooks);
  }
  return sharing_->decoder.decode(*prompt_, candidates, [&](const auto& standing) {
    so_far_ = standing.tokens;
    return step(standing.cells);
  });
}

std::optional<Wave> TransformerSource::sample(std::span<const uint32_t> candidates,
                                              const StepCallback& step) {
  prefill();
  auto decoded = decode(candidates, step);
  if (decoded.cells < cells()) return std::nullopt;
  Wave wave;
  wave.candidates.assign(candidates.begin(), candidates.end());
  wave.tokens.assign(decoded.tokens.begin(), decoded.tokens.end());
  wave.log_likelihood = std::move(decoded.log_likelihood);
  wave.forced_log_likelihood = std::move(decoded.forced_log_likelihood);
  wave.forced.assign(candidates.size(), forced_);
  return wave;
}

std::vector<int32_t> TransformerSource::tokens_so_far() const {
  const auto tokens = so_far_();
  return {tokens.begin(), tokens.end()};
}

TransformerLikelihood::TransformerLikelihood(std::shared_ptr<const transformer::Transformer> model,
                                             Device& device, std::vector<int64_t> text)
    : model_(std::move(model)), context_(device), text_(std::move(text)) {}

std::vector<double> TransformerLikelihood::log_likelihood(const Wave& wave) {
  std::vector<double> sums;
  for (size_t i = 0; i < wave.size(); ++i) {
    auto each = log_probabilities(wave.tokens_of(i));
    for (const auto& [begin, end] : wave.forced[i]) std::fill(each.begin() + begin, each.begin() + end, 0.0f);
    sums.push_back(std::accumulate(each.begin(), each.end(), 0.0));
  }
  return sums;
}

std::vector<float> TransformerLikelihood::log_probabilities(std::span<const int32_t> tokens) {
  const auto& config = model_->config();
  const auto cells = static_cast<int64_t>(tokens.size());
  const std::vector<int64_t> targets(tokens.begin(), tokens.end());
  auto& device = *context_.device;
  // The last cell is predicted and never an input.
  const auto text =
      Tensor::from(device, Shape{1, static_cast<int64_t>(text_.size())}, std::span<const int64_t>(text_));
  const auto image = Tensor::from(device, Shape{1, cells - 1}, std::span(targets).first(targets.size() - 1));
  const auto sequence = transformer::whole_sequence(*model_, config.text_length);
  const auto hidden = model_->trunk(context_, model_->embed(context_, text, image), sequence);
  const int64_t first = config.sequence(static_cast<int32_t>(text_.size())).grid().begin - 1;
  const auto rows = hidden.view({hidden.dim(1), hidden.dim(2)}).rows(first, first + cells);
  const auto logits = model_->image_logits(context_, rows);
  check(ops::all_finite(logits), ErrorKind::model,
        "the transformer's output is not finite: its weights are broken");
  return transformer::log_probabilities(logits, targets);
}

}  // namespace dalle1::rerank
