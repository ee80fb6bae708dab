#include "rerank/scorer.h"

#include <algorithm>

#include "core/error.h"
#include "core/text/number.h"

namespace dalle1::rerank {
namespace {

double cells_of(const Wave& wave, size_t i) { return std::max(1, wave.sampled_cells(i)); }

}  // namespace

std::vector<double> LikelihoodScorer::score(const ScoringInput& input) {
  std::vector<double> scores;
  for (size_t i = 0; i < input.wave.size(); ++i)
    scores.push_back(input.wave.log_likelihood[i] / cells_of(input.wave, i));
  return scores;
}

LikelihoodRatioScorer::LikelihoodRatioScorer(std::shared_ptr<TokenLikelihood> empty_prompt)
    : empty_prompt_(std::move(empty_prompt)) {}

std::vector<double> LikelihoodRatioScorer::score(const ScoringInput& input) {
  const auto unconditional = empty_prompt_->log_likelihood(input.wave);
  std::vector<double> scores;
  for (size_t i = 0; i < input.wave.size(); ++i) {
    const double conditional = input.wave.log_likelihood[i], cells = cells_of(input.wave, i);
    scores.push_back((conditional - unconditional[i]) / cells);
    scores.push_back(conditional / cells);
  }
  return scores;
}

WeightedSumScorer::WeightedSumScorer(std::vector<Part> parts) : parts_(std::move(parts)), columns_{"sum"} {
  for (const auto& [scorer, weight] : parts_)
    for (const auto& column : scorer->columns())
      if (std::find(columns_.begin(), columns_.end(), column) == columns_.end()) columns_.push_back(column);
}

bool WeightedSumScorer::reads_pictures() const {
  return std::any_of(parts_.begin(), parts_.end(),
                     [](const Part& part) { return part.first->reads_pictures(); });
}

std::vector<double> WeightedSumScorer::score(const ScoringInput& input) {
  const size_t rows = input.wave.size(), width = columns_.size();
  std::vector<double> scores(rows * width, 0.0);
  for (const auto& [scorer, weight] : parts_) {
    const auto names = scorer->columns();
    const auto values = scorer->score(input);
    for (size_t row = 0; row < rows; ++row) {
      scores[row * width] += weight * values[row * names.size()];
      for (size_t i = 0; i < names.size(); ++i) {
        const auto column = std::find(columns_.begin(), columns_.end(), names[i]) - columns_.begin();
        scores[row * width + static_cast<size_t>(column)] = values[row * names.size() + i];
      }
    }
  }
  return scores;
}

std::vector<ScorerTerm> parse_scorer(const std::string& text) {
  const std::string known[] = {"clip", "likelihood", "likelihood-ratio", "caption", "caption-ratio"};
  std::vector<ScorerTerm> terms;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const auto term = text.substr(begin, end - begin);
    const size_t equals = term.find('=');
    ScorerTerm parsed{term.substr(0, equals), 1.0};
    check(
        std::find(std::begin(known), std::end(known), parsed.name) != std::end(known), ErrorKind::usage,
        "there is no scorer '{}'; there are clip, likelihood, likelihood-ratio, caption, caption-ratio, and "
        "sums such as clip=1,caption=0.02",
        parsed.name);
    for (const auto& other : terms)
      check(other.name != parsed.name, ErrorKind::usage, "{} names '{}' twice", OptionName{"scorer"},
            parsed.name);
    if (equals != std::string::npos) {
      const auto number = term.substr(equals + 1);
      const auto weight = text::parse_number<double>(number);
      check(weight.has_value(), ErrorKind::usage, "the weight of scorer '{}' is '{}', which is not a number",
            parsed.name, number);
      parsed.weight = *weight;
    }
    terms.push_back(parsed);
    begin = end + 1;
  }
  return terms;
}

std::vector<ScorerTerm> terms_of_tokens(std::vector<ScorerTerm> terms) {
  std::erase_if(terms, [](const ScorerTerm& term) { return term.name == "clip"; });
  return terms;
}

}  // namespace dalle1::rerank
