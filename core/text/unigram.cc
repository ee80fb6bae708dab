#include "core/text/unigram.h"

#include <algorithm>
#include <limits>

#include "core/text/utf8.h"

namespace dalle1::text {

Unigram::Unigram(const std::vector<SentencePieceModel::Piece>& pieces, int32_t unknown) : unknown_(unknown) {
  using Type = SentencePieceModel::Type;
  constexpr float unknown_penalty = 10;  // below the least likely piece
  float lowest = std::numeric_limits<float>::max();
  highest_ = std::numeric_limits<float>::min();  // as in the library: the logarithms below are less
  for (size_t i = 0; i < pieces.size(); ++i) {
    const auto& [text, score, type] = pieces[i];
    if (type == Type::normal) {
      lowest = std::min(lowest, score);
      highest_ = std::max(highest_, score);
    }
    if (type != Type::normal && type != Type::user_defined) continue;
    pieces_.emplace(text, Entry{static_cast<int32_t>(i), score, type == Type::user_defined});
    longest_ = std::max(longest_, text.size());
  }
  unknown_score_ = lowest - unknown_penalty;
}

std::vector<Unigram::Part> Unigram::segment(std::string_view text) const {
  struct Node {  // the best way to the byte before which it stands
    int32_t id = -1;
    float score = 0;
    size_t begin = std::string_view::npos;
  };
  std::vector<Node> best(text.size() + 1);
  const auto offer = [&](size_t begin, size_t end, int32_t id, double score) {
    score += best[begin].score;
    if (best[end].begin == std::string_view::npos || score > best[end].score)
      best[end] = {id, static_cast<float>(score), begin};
  };
  for (size_t begin = 0; begin < text.size();) {
    const std::string_view rest = text.substr(begin);
    const auto character = static_cast<size_t>(std::max(first_code_point(rest).length, 1));
    bool covered = false;
    for (size_t length = 1; length <= std::min(longest_, rest.size()); ++length) {
      const auto piece = pieces_.find(rest.substr(0, length));
      if (piece == pieces_.end()) continue;
      // Scores are logarithms: this is more than any other way to cover as many bytes has.
      const double score =
          piece->second.user_defined ? static_cast<float>(length) * highest_ - 0.1 : piece->second.score;
      offer(begin, begin + length, piece->second.id, score);
      covered = covered || length == character;
    }
    if (!covered) offer(begin, begin + character, unknown_, unknown_score_);
    begin += character;
  }
  std::vector<Part> parts;
  for (size_t end = text.size(); end > 0; end = best[end].begin)
    parts.push_back({best[end].id, text.substr(best[end].begin, end - best[end].begin)});
  std::ranges::reverse(parts);
  return parts;
}

}  // namespace dalle1::text
