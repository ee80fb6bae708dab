#include "core/text/byte_alphabet.h"

#include "core/text/utf8.h"

namespace dalle1::text {
namespace {

ByteAlphabet make_byte_alphabet() {
  ByteAlphabet alphabet;
  size_t count = 0;
  const auto printable = [](int b) { return (b >= '!' && b <= '~') || (b >= 0xA1 && b != 0xAD); };
  for (const bool wanted : {true, false}) {
    for (int byte = 0; byte < 256; ++byte) {
      if (printable(byte) != wanted) continue;
      const auto others = static_cast<char32_t>(0x100 + alphabet.byte_of.size() - count);
      alphabet.byte_of.emplace(wanted ? static_cast<char32_t>(byte) : others, static_cast<uint8_t>(byte));
      alphabet.order[alphabet.byte_of.size() - 1] = static_cast<uint8_t>(byte);
    }
    if (wanted) count = alphabet.byte_of.size();
  }
  return alphabet;
}

}  // namespace

std::optional<std::string> ByteAlphabet::bytes_of(std::string_view piece) const {
  std::string bytes;
  for (const char32_t c : to_code_points_lossy(piece)) {
    const auto at = byte_of.find(c);
    if (at == byte_of.end()) return {};
    bytes += static_cast<char>(at->second);
  }
  return bytes;
}

const ByteAlphabet& byte_alphabet() {
  static const ByteAlphabet alphabet = make_byte_alphabet();
  return alphabet;
}

}  // namespace dalle1::text
