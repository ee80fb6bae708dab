// Draws on the CPU, whose quick way must give the token of the plain sum, however near an edge the point is.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/kernels/kernels.h"
#include "core/random/philox.h"
#include "core/tensor/device.h"

namespace dalle1::test {
namespace {

constexpr uint64_t kSeed = 5;

// The first token at which the sum of single-precision exponentials passes the drawn share of the whole; with
// top-p of the most probable ones, in that order, that pass its share.
int64_t plain_draw(std::span<const float> logits, const SamplingRule& rule, float uniform) {
  const float largest = *std::max_element(logits.begin(), logits.end());
  std::vector<std::pair<float, int64_t>> weights;
  double total = 0;
  for (float logit : logits) {
    weights.emplace_back(std::exp((logit - largest) / rule.temperature), weights.size());
    total += weights.back().first;
  }
  if (rule.top_p < 1.0f) {
    std::stable_sort(weights.begin(), weights.end(), [](auto& a, auto& b) { return a.first > b.first; });
    double before = 0;
    size_t kept = 0;
    while (kept < weights.size() && before <= rule.top_p * total) before += weights[kept++].first;
    weights.resize(kept);
    total = before;
  }
  double remaining = uniform * total;
  for (const auto& [weight, token] : weights) {
    remaining -= weight;
    if (remaining < 0) return token;
  }
  return weights.back().second;
}

std::vector<int64_t> drawn(const std::vector<float>& logits, int64_t columns, const SamplingRule& rule,
                           std::span<float> log_probs) {
  auto device = make_cpu_device(1);
  const auto rows = static_cast<int64_t>(logits.size()) / columns;
  std::vector<uint32_t> candidates(rows);
  for (int64_t row = 0; row < rows; ++row) candidates[row] = static_cast<uint32_t>(row);
  std::vector<int64_t> tokens(rows);
  device->kernels().sample(
      {Tensor::from(*device, {rows, columns}, logits), rule, kSeed, candidates, 3, tokens, log_probs});
  return tokens;
}

TEST_CASE("sample: the tokens of the plain sum, for flat, peaked and odd rows") {
  for (const auto& [columns, spread] : {std::pair{int64_t{8192}, 3.0f},
                                        {8192, 20.0f},
                                        {1000, 0.0f},
                                        {63, 1.0f},
                                        {64, 1.0f},
                                        {65, 9.0f},
                                        {1, 1.0f}}) {
    CAPTURE(columns);
    CAPTURE(spread);
    constexpr int64_t rows = 300;
    RandomStream draws(7, Stream::test, 2);
    std::vector<float> logits(rows * columns);
    for (float& logit : logits) logit = spread * draws.normal();
    std::vector<float> log_probs(rows);
    for (const SamplingRule& rule : {SamplingRule{1.0f}, SamplingRule{0.7f}, SamplingRule{1.0f, 0, 0.9f},
                                     SamplingRule{0.8f, 0, 0.5f}, SamplingRule{1.0f, 0, 0.001f}}) {
      CAPTURE(rule.top_p);
      const auto tokens = drawn(logits, columns, rule, log_probs);
      CHECK(tokens == drawn(logits, columns, rule, {}));
      for (int64_t row = 0; row < rows; ++row) {
        const auto uniform =
            unit_interval(random_block(kSeed, Stream::sampling, static_cast<uint32_t>(row), 3, 0)[0]);
        REQUIRE(tokens[row] == plain_draw(std::span(logits).subspan(row * columns, columns), rule, uniform));
      }
    }
  }
}

TEST_CASE("sample: a point on the edge between two tokens is decided by the plain sum") {
  // Two tokens, the first with the share that the row's own draw has, and its neighbours in floating point.
  for (uint32_t row = 0; row < 200; ++row) {
    const double uniform = unit_interval(random_block(kSeed, Stream::sampling, row, 3, 0)[0]);
    if (uniform > 0.999) continue;
    std::vector<float> logits(2 * (row + 1), 0.0f);
    float edge = static_cast<float>(std::log(uniform / (1 - uniform)));
    for (int step = 0; step < static_cast<int>(row % 5); ++step)
      edge = std::nextafter(edge, std::numeric_limits<float>::infinity());
    logits[2 * row] = edge;
    const auto tokens = drawn(logits, 2, {}, {});
    CHECK(tokens[row] == plain_draw(std::span(logits).last(2), {}, static_cast<float>(uniform)));
  }
}

TEST_CASE("sample: what is no number, or infinite, is refused wherever it stands") {
  for (int64_t place : {int64_t{0}, int64_t{63}, int64_t{64}, int64_t{99}}) {
    for (float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                      -std::numeric_limits<float>::infinity()}) {
      std::vector<float> logits(100, 1.0f);
      logits[place] = bad;
      CHECK_THROWS_WITH_AS(drawn(logits, 100, {}, {}), doctest::Contains("not finite"), Error);
    }
  }
}

}  // namespace
}  // namespace dalle1::test
