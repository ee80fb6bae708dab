#include <doctest/doctest.h>

#include "core/error.h"
#include "rerank/scorer.h"
#include "tests/rerank/fakes.h"

using namespace dalle1;
using namespace dalle1::rerank;

namespace {

struct HalfAsLikely : TokenLikelihood {
  std::vector<double> log_likelihood(const Wave& wave) override {
    std::vector<double> values;
    for (const double value : wave.log_likelihood) values.push_back(2 * value);
    return values;
  }
};

Wave wave_of(std::vector<double> log_likelihood) {
  Wave wave;
  for (uint32_t i = 0; i < log_likelihood.size(); ++i) wave.candidates.push_back(i);
  wave.log_likelihood = std::move(log_likelihood);
  wave.forced_log_likelihood.resize(wave.candidates.size());
  wave.forced.assign(wave.candidates.size(), {{0, 4}, {7, 9}});
  wave.tokens.resize(wave.candidates.size() * test::kFakeCells);
  return wave;
}

ErrorKind kind_of(const std::string& text) {
  try {
    parse_scorer(text);
  } catch (const Error& error) {
    return error.kind();
  }
  return ErrorKind::internal;
}

}  // namespace

TEST_CASE("likelihoods are per sampled cell, the ratio subtracts the empty prompt") {
  const auto wave = wave_of({-30, -60});
  CHECK(LikelihoodScorer().score({wave, {}}) == std::vector<double>{-3, -6});
  LikelihoodRatioScorer ratio(std::make_shared<HalfAsLikely>());
  CHECK(ratio.score({wave, {}}) == std::vector<double>{3, -3, 6, -6});
}

TEST_CASE("a weighted sum records the columns of its parts once") {
  WeightedSumScorer sum({{std::make_shared<LikelihoodScorer>(), 0.5},
                         {std::make_shared<LikelihoodRatioScorer>(std::make_shared<HalfAsLikely>()), 2.0}});
  CHECK(sum.columns() == std::vector<std::string>{"sum", "likelihood", "likelihood-ratio"});
  CHECK(sum.score({wave_of({-30}), {}}) == std::vector<double>{0.5 * -3 + 2 * 3, -3, 3});
}

TEST_CASE("--scorer is read strictly") {
  const auto terms = parse_scorer("clip=1,likelihood-ratio=-0.5");
  REQUIRE(terms.size() == 2);
  CHECK(terms[0].name == "clip");
  CHECK(terms[1].weight == -0.5);
  CHECK(parse_scorer("likelihood").at(0).weight == 1);
  for (const char* bad : {"", "clop", "clip,clip", "clip=", "clip=x", "clip=1,", "clip=inf", "clip=1 2"})
    CHECK_MESSAGE(kind_of(bad) == ErrorKind::usage, bad);
}
