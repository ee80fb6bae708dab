// What both of CLIP's tokenizers do with bytes and ids.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dalle1::text {

struct ClipPieces {
  std::vector<std::string> bytes;  ///< Of each id, without "</w>".
  std::vector<bool> ends_word;     ///< Of each id.
  int32_t symbols[2][256] = {};    ///< The id of a byte inside, and at the end of a word.

  size_t size() const { return bytes.size(); }
  /// The ids of a word's bytes, before any merge.
  std::vector<int32_t> symbols_of(std::string_view word) const;
  /// UTF-8; a space follows every word. Ids may end inside of a character, which is replaced.
  std::string text_of(std::span<const int32_t> ids) const;
};

}  // namespace dalle1::text
