#include "core/text/windows1252.h"

#include <algorithm>
#include <iterator>

namespace dalle1::text {
namespace {

constexpr char32_t high_controls[32] = {  // bytes 0x80 to 0x9F
    0x20AC, 0x81,   0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
    0x2039, 0x0152, 0x8D,   0x017D, 0x8F,   0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
    0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D,   0x017E, 0x0178};

}  // namespace

char32_t from_windows1252(uint8_t byte) {
  return byte >= 0x80 && byte < 0xA0 ? high_controls[byte - 0x80] : char32_t{byte};
}

int to_windows1252(char32_t c) {
  if (c < 0x80 || (c >= 0xA0 && c <= 0xFF)) return static_cast<int>(c);
  const auto* at = std::find(std::begin(high_controls), std::end(high_controls), c);
  return at == std::end(high_controls) ? -1 : 0x80 + static_cast<int>(at - std::begin(high_controls));
}

}  // namespace dalle1::text
