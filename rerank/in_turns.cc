#include "rerank/in_turns.h"

#include <algorithm>
#include <iterator>

namespace dalle1::rerank {
namespace {

constexpr int kPicturesATurn = 4;

}  // namespace

std::vector<Image> DecoderInTurns::decode(std::span<const int32_t> tokens, int count) {
  std::vector<Image> pictures;
  const size_t cells = count ? tokens.size() / static_cast<size_t>(count) : 0;
  for (int first = 0; first < count; first += kPicturesATurn) {
    const int some = std::min(kPicturesATurn, count - first);
    turns_.take(DeviceTurns::other, [&] {
      auto more = decoder_.decode(
          tokens.subspan(static_cast<size_t>(first) * cells, static_cast<size_t>(some) * cells), some);
      std::move(more.begin(), more.end(), std::back_inserter(pictures));
    });
    between_();
  }
  return pictures;
}

std::vector<double> ScorerInTurns::score(const ScoringInput& input) {
  std::vector<double> scores;
  turns_.take(DeviceTurns::other, [&] { scores = scorer_.score(input); });
  return scores;
}

}  // namespace dalle1::rerank
