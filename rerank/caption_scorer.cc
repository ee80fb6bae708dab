#include "rerank/caption_scorer.h"

#include <algorithm>

#include "core/error.h"

namespace dalle1::rerank {

CaptionScorer::CaptionScorer(std::shared_ptr<const transformer::Captioner> captioner,
                             const text::Tokenizer& tokenizer, const std::string& prompt, bool truncate,
                             Kind kind, int at_once)
    : captioner_(std::move(captioner)),
      prompt_(tokenizer.encode(prompt)),
      kind_(kind),
      at_once_(static_cast<size_t>(at_once)) {
  const auto most = static_cast<size_t>(captioner_->config().text_slots) - 1;
  prompt_ = text::fit(std::move(prompt_), most, truncate);
  if (kind_ == Kind::caption) return;
  Context context(captioner_->device());
  without_picture_ = means(captioner_->null_vectors(context)).front();
}

std::vector<std::string> CaptionScorer::columns() const {
  if (kind_ == Kind::caption) return {"caption"};
  return {"caption-ratio", "caption"};
}

// Of the prompt under each of these pictures.
std::vector<double> CaptionScorer::means(const Tensor& vectors) const {
  Device& device = captioner_->device();
  const std::vector<std::vector<int32_t>> prompts(static_cast<size_t>(vectors.dim(0)), prompt_);
  const auto rows = transformer::caption_rows(device, captioner_->config(), prompts, false);
  Context context(device);
  auto values = transformer::log_likelihood(context, *captioner_, vectors, rows);
  for (double& value : values) value /= static_cast<double>(prompt_.size() + 1);
  return values;
}

// Of candidates [begin, end); on a GPU the last one again until there are at_once.
Tensor CaptionScorer::vectors_of(const Wave& wave, size_t begin, size_t end) const {
  const int64_t grid = captioner_->config().grid;
  check(wave.cells() == static_cast<size_t>(grid * grid), ErrorKind::internal,
        "candidates of {} cells for a captioner of a grid of {}", wave.cells(), grid);
  Device& device = captioner_->device();
  const size_t rows = device.is_cpu() ? end - begin : at_once_;
  std::vector<int64_t> codes;
  for (size_t i = 0; i < rows; ++i) {
    const auto tokens = wave.tokens_of(std::min(begin + i, end - 1));
    codes.insert(codes.end(), tokens.begin(), tokens.end());
  }
  transformer::CaptionCondition condition;
  condition.codes = Tensor::from(device, {static_cast<int64_t>(rows), grid, grid}, codes);
  Context context(device);
  return captioner_->picture_vectors(context, condition);
}

std::vector<double> CaptionScorer::score(const ScoringInput& input) {
  std::vector<double> scores;
  for (size_t begin = 0; begin < input.wave.size(); begin += at_once_) {
    const size_t end = std::min(begin + at_once_, input.wave.size());
    auto values = means(vectors_of(input.wave, begin, end));
    values.resize(end - begin);
    for (const double value : values) {
      if (kind_ == Kind::ratio) scores.push_back(value - without_picture_);
      scores.push_back(value);
    }
  }
  return scores;
}

}  // namespace dalle1::rerank
