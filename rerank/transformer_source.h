// The transformer as the pipeline sees it: prompts to candidates, and likelihoods of given tokens.
#pragma once

#include <memory>

#include "rerank/candidate_source.h"
#include "rerank/scorer.h"
#include "transformer/decoder.h"

namespace dalle1::rerank {

/// Candidates of one prompt, of which some cells may be forced.
class TransformerSource : public CandidateSource {
 public:
  TransformerSource(std::shared_ptr<const transformer::Transformer> model, Device& device,
                    transformer::DecodeRequest request);

  int cells() const override { return model_->config().cells(); }
  void prefill() override;
  std::optional<Wave> sample(std::span<const uint32_t> candidates, const StepCallback& step) override;

 private:
  std::shared_ptr<const transformer::Transformer> model_;
  Context context_;
  transformer::DecodeRequest request_;
  int32_t sampled_cells_;
  std::unique_ptr<transformer::Decoder> decoder_;  // made by prefill()
};

/// Log-likelihoods of a wave's tokens under a prompt of its own, by one forward pass a candidate. Cells that
/// are forced do not count.
class TransformerLikelihood : public TokenLikelihood {
 public:
  /// `text`: [text_length] filled slots. `forced`: [G * G] token or -1 where sampled; empty: all are sampled.
  TransformerLikelihood(std::shared_ptr<const transformer::Transformer> model, Device& device,
                        std::vector<int64_t> text, std::vector<int32_t> forced);
  std::vector<double> log_likelihood(const Wave& wave) override;

 private:
  double log_likelihood(std::span<const int32_t> tokens);

  std::shared_ptr<const transformer::Transformer> model_;
  Context context_;
  std::vector<int64_t> text_;
  std::vector<int32_t> forced_;
  std::vector<AttentionPattern> patterns_;
};

/// Candidates of several sources in turn: candidate i comes from source i % size. For variations that keep
/// more or less of a picture.
class AlternatingSource : public CandidateSource {
 public:
  explicit AlternatingSource(std::vector<std::unique_ptr<CandidateSource>> sources);
  int cells() const override { return sources_.front()->cells(); }
  void prefill() override;
  std::optional<Wave> sample(std::span<const uint32_t> candidates, const StepCallback& step) override;

 private:
  std::vector<std::unique_ptr<CandidateSource>> sources_;
};

}  // namespace dalle1::rerank
