// CLIP as a scorer: how well a picture fits the prompt.
#pragma once

#include <memory>
#include <string>

#include "clip/clip.h"
#include "core/text/tokenizer.h"
#include "rerank/scorer.h"

namespace dalle1::rerank {

/// "clip": cosine of picture and prompt; "clip-logit": the same times CLIP's learned scale.
class ClipScorer : public Scorer {
 public:
  /// Encodes the prompt, once. Error(input) when it does not fit CLIP's text length, unless `truncate`. At
  /// most `at_once` pictures are encoded together, which bounds memory; on a GPU always as many, since bits
  /// go by the shape of the work.
  ClipScorer(std::shared_ptr<clip::Clip> clip, Device& device, const text::Tokenizer& tokenizer,
             const std::string& prompt, bool truncate, int at_once = 16);

  std::vector<std::string> columns() const override { return {"clip", "clip-logit"}; }
  std::vector<double> score(const ScoringInput& input) override;

 private:
  std::shared_ptr<clip::Clip> clip_;
  Device& device_;
  Tensor text_;  // [1, embed_dim]
  int at_once_;
};

}  // namespace dalle1::rerank
