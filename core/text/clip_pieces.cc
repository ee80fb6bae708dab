#include "core/text/clip_pieces.h"

#include "core/text/utf8.h"

namespace dalle1::text {

std::vector<int32_t> ClipPieces::symbols_of(std::string_view word) const {
  std::vector<int32_t> ids;
  for (size_t i = 0; i < word.size(); ++i)
    ids.push_back(symbols[i + 1 == word.size()][static_cast<uint8_t>(word[i])]);
  return ids;
}

std::string ClipPieces::text_of(std::span<const int32_t> ids) const {
  std::string text;
  for (const int32_t id : ids) {
    text += bytes[id];
    if (ends_word[id]) text += ' ';
  }
  return to_utf8(to_code_points_lossy(text));
}

}  // namespace dalle1::text
