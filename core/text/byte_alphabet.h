// The printable stand-ins for bytes with which byte-level BPE writes its files (Radford et al. 2019, GPT-2).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace dalle1::text {

struct ByteAlphabet {
  std::array<uint8_t, 256> order;                 ///< Byte of the i-th symbol.
  std::unordered_map<char32_t, uint8_t> byte_of;  ///< Stand-in character to byte.

  /// The bytes that a piece in stand-ins is of; nullopt when a character stands for none.
  std::optional<std::string> bytes_of(std::string_view piece) const;
};

/// Printable Latin-1 bytes stand for themselves and come first; the others follow as U+0100, U+0101, ...
const ByteAlphabet& byte_alphabet();

}  // namespace dalle1::text
