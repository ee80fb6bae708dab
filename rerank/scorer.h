// How candidates are ranked: scorers behind one interface. Higher is better everywhere.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "rerank/candidate_source.h"

namespace dalle1::rerank {

struct ScoringInput {
  const Wave& wave;
  std::span<const Image> pictures;  ///< [N]; may be empty where the scorer reads none.
};

/// A score of every candidate of a wave does not depend on what else is in the wave.
class Scorer {
 public:
  virtual ~Scorer() = default;
  /// Names of the columns it records; the first one ranks.
  virtual std::vector<std::string> columns() const = 0;
  /// Whether it looks at pictures, not at tokens and likelihoods alone.
  virtual bool reads_pictures() const { return true; }
  /// [N, columns] row-major. Error(model) when a score is not finite.
  virtual std::vector<double> score(const ScoringInput& input) = 0;
};

/// "likelihood": mean log-probability of a sampled cell given the prompt and the cells before it, in nats, at
/// temperature 1; forced cells do not count. The sum over cells is recorded in every row anyway.
class LikelihoodScorer : public Scorer {
 public:
  std::vector<std::string> columns() const override { return {"likelihood"}; }
  bool reads_pictures() const override { return false; }
  std::vector<double> score(const ScoringInput& input) override;
};

/// The log-likelihood of given tokens under some fixed prompt.
class TokenLikelihood {
 public:
  virtual ~TokenLikelihood() = default;
  /// [N] nats, summed over the sampled cells, of wave's tokens.
  virtual std::vector<double> log_likelihood(const Wave& wave) = 0;
};

/// "likelihood-ratio": mean over sampled cells of log p(cell | prompt) - log p(cell | empty prompt), both
/// given the cells before it: pointwise mutual information of what was drawn and the prompt. It ranks down
/// pictures that the model likes whatever the prompt is.
class LikelihoodRatioScorer : public Scorer {
 public:
  explicit LikelihoodRatioScorer(std::shared_ptr<TokenLikelihood> empty_prompt);
  std::vector<std::string> columns() const override { return {"likelihood-ratio", "likelihood"}; }
  bool reads_pictures() const override { return false; }
  std::vector<double> score(const ScoringInput& input) override;

 private:
  std::shared_ptr<TokenLikelihood> empty_prompt_;
};

/// "sum": sum of weight * first column of each part; the columns of the parts are recorded too.
class WeightedSumScorer : public Scorer {
 public:
  using Part = std::pair<std::shared_ptr<Scorer>, double>;
  explicit WeightedSumScorer(std::vector<Part> parts);
  std::vector<std::string> columns() const override { return columns_; }
  bool reads_pictures() const override;
  std::vector<double> score(const ScoringInput& input) override;

 private:
  std::vector<Part> parts_;
  std::vector<std::string> columns_;  // distinct
};

/// One term of --scorer.
struct ScorerTerm {
  std::string name;  ///< clip, likelihood, likelihood-ratio, caption or caption-ratio
  double weight = 1.0;
};

/// "clip", "likelihood", "likelihood-ratio", "caption", "caption-ratio", or a weighted sum such as
/// "clip=1,caption=0.02". Error(usage) for anything else.
std::vector<ScorerTerm> parse_scorer(const std::string& text);

/// Those that look at tokens and likelihoods alone, so that they can rank what is not decoded.
std::vector<ScorerTerm> terms_of_tokens(std::vector<ScorerTerm> terms);

}  // namespace dalle1::rerank
