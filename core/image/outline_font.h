// Characters that the built-in font lacks, from an outline font: DejaVu Sans, by FreeType.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace dalle1 {

struct OutlineGlyph {
  int left = 0, top = 0;  ///< Of the coverage, from where the glyph begins and from the line's top, pixels.
  int width = 0, height = 0;      ///< Of the coverage; 0 where there is no ink.
  int advance = 0;                ///< To where the next glyph begins.
  std::vector<uint8_t> coverage;  ///< [height, width], 255: all ink.
};

/// `capital_height`: of a capital letter, pixels; the line's top is the capitals'. Without hinting, so that
/// the pixels are the same everywhere. Nothing where the font lacks the character or is not installed
/// (Debian's fonts-dejavu-core). Safe from several threads.
std::optional<OutlineGlyph> outline_glyph(char32_t character, int capital_height);

}  // namespace dalle1
