// Sentencepiece's normalisation rules: a trie from character sequences to their replacements.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dalle1::text {

/// The `precompiled_charsmap` of a sentencepiece model: uint32 size, that many bytes of a double-array trie
/// (github.com/s-yata/darts-clone, 32-bit units), then the replacements, each ended by a zero byte. The
/// longest sequence that begins a text is replaced; what no sequence begins stays. Every access is bounded,
/// so a damaged map gives other text but touches nothing outside of it.
class CharacterMap {
 public:
  CharacterMap() = default;  ///< Replaces nothing.

  /// Throws Error(model) naming `name` if the sizes disagree.
  CharacterMap(std::string_view blob, const std::string& name);

  struct Match {
    size_t length = 0;             ///< Bytes of the text that it replaces; 0: no rule.
    std::string_view replacement;  ///< Lives as long as the map.
  };
  Match longest(std::string_view text) const;

 private:
  std::vector<uint32_t> units_;
  std::string replacements_;
};

}  // namespace dalle1::text
