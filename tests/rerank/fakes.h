// Models that cost nothing, for tests of the pipeline: every value is a function of (seed, candidate).
#pragma once

#include <algorithm>
#include <set>

#include "core/random/philox.h"
#include "rerank/candidate_source.h"
#include "rerank/scorer.h"

namespace dalle1::test {

inline constexpr int kFakeGrid = 4;
inline constexpr int kFakeCells = kFakeGrid * kFakeGrid;

class FakeSource : public rerank::CandidateSource {
 public:
  explicit FakeSource(uint64_t seed) : seed_(seed) {}
  int cells() const override { return kFakeCells; }
  rerank::CellRanges forced(uint32_t) const override { return {}; }
  void prefill() override { ++prefills; }

  std::optional<rerank::Wave> sample(std::span<const uint32_t> candidates,
                                     const rerank::StepCallback& step) override {
    rerank::Wave wave;
    wave.candidates.assign(candidates.begin(), candidates.end());
    waves.push_back(wave.candidates);
    for (cells_done_ = 1; cells_done_ <= kFakeCells; ++cells_done_)
      if (!step(cells_done_)) return std::nullopt;
    for (const uint32_t candidate : candidates) {
      for (int cell = 0; cell < kFakeCells; ++cell) wave.tokens.push_back(token(candidate, cell));
      wave.log_likelihood.push_back(-static_cast<double>(candidate % 7) - 0.1);
      wave.forced_log_likelihood.push_back(0);
      wave.forced.emplace_back();
      sampled.insert(candidate);
    }
    return wave;
  }

  std::vector<int32_t> tokens_so_far() const override {
    std::vector<int32_t> tokens;
    for (const uint32_t candidate : waves.back())
      for (int cell = 0; cell < kFakeCells; ++cell)
        tokens.push_back(cell < cells_done_ ? token(candidate, cell) : -1);
    return tokens;
  }

  int prefills = 0;
  std::multiset<uint32_t> sampled;
  std::vector<std::vector<uint32_t>> waves;  ///< As they were asked for.

 private:
  int32_t token(uint32_t candidate, int cell) const {
    const auto block = random_block(seed_, Stream::sampling, candidate, static_cast<uint32_t>(cell), 0);
    return static_cast<int32_t>(block[0] % 97);
  }

  uint64_t seed_;
  int cells_done_ = 0;
};

/// One pixel a token; candidates whose first token is below `constant_below` give one colour.
class FakeDecoder : public rerank::PictureDecoder {
 public:
  int picture_size() const override { return kFakeGrid; }
  std::vector<Image> decode(std::span<const int32_t> tokens, int count) override {
    std::vector<Image> pictures;
    most_at_once = std::max(most_at_once, count);
    for (int i = 0; i < count; ++i) {
      Image picture(kFakeGrid, kFakeGrid, 3, 50);
      const auto own = tokens.subspan(static_cast<size_t>(i) * kFakeCells, kFakeCells);
      for (size_t p = 0; own[0] >= constant_below && p < picture.pixels.size(); ++p)
        picture.pixels[p] = static_cast<uint8_t>(own[p / 3] * 2 + static_cast<int32_t>(p % 3));
      pictures.push_back(picture);
    }
    return pictures;
  }
  int constant_below = 0;
  int most_at_once = 0;
};

/// Few distinct values, so that ties are common; `clip`-like in needing the picture.
class FakeScorer : public rerank::Scorer {
 public:
  explicit FakeScorer(int distinct = 5) : distinct_(distinct) {}
  std::vector<std::string> columns() const override { return {"fake", "twice"}; }
  std::vector<double> score(const rerank::ScoringInput& input) override {
    std::vector<double> scores;
    for (const auto& picture : input.pictures) {
      const double value = picture.pixels[4] % distinct_;
      scores.insert(scores.end(), {value, 2 * value});
    }
    return scores;
  }

 private:
  int distinct_;
};

}  // namespace dalle1::test
