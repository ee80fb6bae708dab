// A picture that a drawing goes on from: completion, inpainting, variations.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "rerank/complete.h"
#include "rerank/model_set.h"
#include "rerank/pipeline.h"

namespace dalle1::rerank {

struct GivenPicture {
  Image picture;                ///< As read.
  std::vector<Redraw> redraws;  ///< What to draw anew; candidate i takes redraws[i % size].
  bool paste = false;           ///< Kept pixels come from the given picture.
  Json options;                 ///< What of it would change the result, by field name.
};

/// The given picture as the models see it.
class FittedPicture {
 public:
  /// `models` are loaded.
  FittedPicture(GivenPicture given, const ModelSet& models);

  /// As ModelSet::source(), with the kept cells forced.
  std::unique_ptr<CandidateSource> source(const ModelSet& models, const GenerationOptions& options,
                                          const std::string& prompt) const;
  /// Shows it on the sheet, says its options in the pictures and pastes its pixels where that was asked for.
  /// It must outlive the options.
  void go_into(PipelineOptions& pipeline) const;

 private:
  GivenPicture given_;
  Image picture_;                             // in the decoded size
  std::vector<std::vector<int32_t>> forced_;  // by redraw: [G * G], -1 where sampled
};

}  // namespace dalle1::rerank
