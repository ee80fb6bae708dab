// The pixels of the built-in font; draw.h draws with them.
#pragma once

#include <array>
#include <cstdint>

namespace dalle1 {

/// Nine rows of five pixels; bit 4 is the leftmost.
struct Glyph {
  std::array<uint8_t, 9> rows;
};

extern const std::array<Glyph, 95> kFont;  ///< ' ' to '~'
extern const Glyph kUnknownGlyph;          ///< for everything else

}  // namespace dalle1
