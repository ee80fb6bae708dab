#include "core/text/character_map.h"

#include <bit>
#include <cstring>

#include "core/error.h"

namespace dalle1::text {
namespace {

// The fields of one unit of the double array.
uint32_t offset_of(uint32_t unit) { return (unit >> 10) << ((unit & 1u << 9) >> 6); }
bool has_leaf(uint32_t unit) { return (unit >> 8 & 1) != 0; }
uint32_t label_of(uint32_t unit) { return unit & (1u << 31 | 0xFF); }  // a leaf's top bit matches no byte
uint32_t leaf_value(uint32_t unit) { return unit & ~(1u << 31); }

}  // namespace

CharacterMap::CharacterMap(std::string_view blob, const std::string& name) {
  static_assert(std::endian::native == std::endian::little);
  if (blob.empty()) return;
  uint32_t trie_bytes = 0;
  check(blob.size() > sizeof trie_bytes, ErrorKind::model, "{}: the normalisation rules are cut short", name);
  std::memcpy(&trie_bytes, blob.data(), sizeof trie_bytes);
  blob.remove_prefix(sizeof trie_bytes);
  check(trie_bytes <= blob.size() && trie_bytes % sizeof(uint32_t) == 0, ErrorKind::model,
        "{}: the normalisation rules claim a trie of {} bytes and have {}", name, trie_bytes, blob.size());
  units_.resize(trie_bytes / sizeof(uint32_t));
  if (trie_bytes > 0) std::memcpy(units_.data(), blob.data(), trie_bytes);
  replacements_ = blob.substr(trie_bytes);
}

CharacterMap::Match CharacterMap::longest(std::string_view text) const {
  Match match;
  if (units_.empty()) return match;
  uint32_t node = offset_of(units_[0]);
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    node ^= byte;
    if (node >= units_.size() || label_of(units_[node]) != byte) break;
    const uint32_t unit = units_[node];
    node ^= offset_of(unit);
    if (node >= units_.size()) break;
    if (!has_leaf(unit)) continue;
    const uint32_t at = leaf_value(units_[node]);
    if (at >= replacements_.size()) break;
    const std::string_view rest = std::string_view(replacements_).substr(at);
    match = {i + 1, rest.substr(0, rest.find('\0'))};
  }
  return match;
}

}  // namespace dalle1::text
