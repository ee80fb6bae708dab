// The transformer as the pipeline sees it: prompts to candidates, and likelihoods of given tokens.
#pragma once

#include <memory>

#include "rerank/candidate_source.h"
#include "rerank/scorer.h"
#include "rerank/step_sharing.h"
#include "transformer/decoder.h"

namespace dalle1::rerank {

/// Candidates of one prompt, of which some cells may be forced.
class TransformerSource : public CandidateSource {
 public:
  /// With `sharing` the candidates share steps with those of other sources.
  TransformerSource(std::shared_ptr<const transformer::Transformer> model, Device& device,
                    transformer::DecodeRequest request, std::shared_ptr<StepSharing> sharing = {});

  int cells() const override { return model_->config().cells(); }
  CellRanges forced(uint32_t candidate) const override { return forced_; }
  void prefill() override;
  std::optional<Wave> sample(std::span<const uint32_t> candidates, const StepCallback& step) override;
  std::vector<int32_t> tokens_so_far() const override;

 private:
  transformer::Decoded decode(std::span<const uint32_t> candidates, const StepCallback& step);

  std::shared_ptr<const transformer::Transformer> model_;
  Context context_;
  transformer::DecodeRequest request_;
  CellRanges forced_;
  std::shared_ptr<StepSharing> sharing_;
  // Made by prefill(), one of them.
  std::unique_ptr<transformer::Decoder> decoder_;
  std::unique_ptr<transformer::Prompt> prompt_;  // of what shares steps
  std::function<std::vector<int64_t>()> so_far_;
};

/// Log-likelihoods of a wave's tokens under a prompt of its own, by one forward pass a candidate. A cell that
/// was forced counts as seen, not as sampled. Under the prompt of sampling they are what sampling recorded,
/// but for the rounding of another order of sums: within 1e-5 of it.
class TransformerLikelihood : public TokenLikelihood {
 public:
  /// `text`: [text_length] filled slots.
  TransformerLikelihood(std::shared_ptr<const transformer::Transformer> model, Device& device,
                        std::vector<int64_t> text);
  std::vector<double> log_likelihood(const Wave& wave) override;

 private:
  std::vector<float> log_probabilities(std::span<const int32_t> tokens);

  std::shared_ptr<const transformer::Transformer> model_;
  Context context_;
  std::vector<int64_t> text_;
};

/// Candidates of several sources in turn: candidate i comes from source i % size. For variations that keep
/// more or less of a picture.
class AlternatingSource : public CandidateSource {
 public:
  explicit AlternatingSource(std::vector<std::unique_ptr<CandidateSource>> sources);
  int cells() const override { return sources_.front()->cells(); }
  CellRanges forced(uint32_t candidate) const override {
    return sources_[candidate % sources_.size()]->forced(candidate);
  }
  void prefill() override;
  std::optional<Wave> sample(std::span<const uint32_t> candidates, const StepCallback& step) override;
  std::vector<int32_t> tokens_so_far() const override;

 private:
  // Which of a wave's candidates a source samples, by their places in the wave.
  std::vector<size_t> places_of(size_t source) const;

  std::vector<std::unique_ptr<CandidateSource>> sources_;
  // Of the wave that is being sampled.
  std::vector<uint32_t> candidates_;
  std::vector<int32_t> tokens_;  // [N, cells] of the sources before this one
  size_t sampling_ = 0;          // the source that is at work
};

}  // namespace dalle1::rerank
