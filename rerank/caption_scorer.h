// A captioner as a scorer: how likely it finds the prompt given a candidate's codes.
#pragma once

#include <memory>
#include <string>

#include "core/text/tokenizer.h"
#include "rerank/scorer.h"
#include "transformer/caption_loss.h"

namespace dalle1::rerank {

/// "caption": mean over the prompt's tokens and its end of log p(token | picture, tokens before it), in nats;
/// "caption-ratio": the same of log p(token | picture, ...) - log p(token | no picture, ...), the pointwise
/// mutual information of prompt and picture, which does not reward prompts for being common. Candidates of
/// one prompt are ranked alike by both; the ratio says on a scale of its own whether a picture speaks for the
/// prompt at all. Codes are read, not pictures.
class CaptionScorer : public Scorer {
 public:
  enum class Kind : uint8_t { caption, ratio };

  /// For a captioner that reads grids alone. Error(input) when the prompt does not fit its text slots, unless
  /// `truncate`. At most `at_once` candidates are read together, which bounds memory; on a GPU always as
  /// many, since bits go by the shape of the work.
  CaptionScorer(std::shared_ptr<const transformer::Captioner> captioner, const text::Tokenizer& tokenizer,
                const std::string& prompt, bool truncate, Kind kind, int at_once = 32);

  /// The ratio records "caption" too.
  std::vector<std::string> columns() const override;
  bool reads_pictures() const override { return false; }
  std::vector<double> score(const ScoringInput& input) override;

 private:
  std::vector<double> means(const Tensor& vectors) const;
  Tensor vectors_of(const Wave& wave, size_t begin, size_t end) const;

  std::shared_ptr<const transformer::Captioner> captioner_;
  std::vector<int32_t> prompt_;
  Kind kind_;
  size_t at_once_;
  double without_picture_ = 0;  // mean log p(token | no picture, ...)
};

}  // namespace dalle1::rerank
