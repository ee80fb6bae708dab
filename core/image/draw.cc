#include "core/image/draw.h"

#include <algorithm>
#include <bit>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/image/font.h"
#include "core/image/outline_font.h"
#include "core/text/utf8.h"

namespace dalle1 {
namespace {

constexpr int kSpaceWidth = 3;
constexpr int kCapitalHeight = 7;  // of the built-in font's rows

/// The columns of a glyph that have ink: the font is proportional.
struct Extent {
  int first = 0, width = kSpaceWidth;
};

Extent extent_of(const Glyph& glyph) {
  unsigned ink = 0;
  for (uint8_t row : glyph.rows) ink |= row;
  if (ink == 0) return {};
  const int first = 5 - std::bit_width(ink), last = 4 - std::countr_zero(ink);
  return {first, last - first + 1};
}

/// A character on a line of text: of the built-in font, or an outline.
struct PlacedGlyph {
  int x = 0, width = 0;  // pixels
  const Glyph* built_in = nullptr;
  std::optional<OutlineGlyph> outline;
};

PlacedGlyph glyph_of(char32_t character, int x, int scale) {
  const bool ascii = character >= ' ' && character <= '~';
  auto outline = ascii ? std::nullopt : outline_glyph(character, kCapitalHeight * scale);
  if (outline) return {x, std::max(0, outline->advance - scale), nullptr, std::move(outline)};
  const Glyph& glyph = ascii ? kFont[character - ' '] : kUnknownGlyph;
  return {x, extent_of(glyph).width * scale, &glyph, std::nullopt};
}

/// The glyphs of a line, and its width.
std::pair<std::vector<PlacedGlyph>, int> lay_out(std::u32string_view text, int scale) {
  std::vector<PlacedGlyph> glyphs;
  int x = 0;
  for (const char32_t character : text) {
    glyphs.push_back(glyph_of(character, x, scale));
    const auto& glyph = glyphs.back();
    x += glyph.outline ? glyph.outline->advance : glyph.width + scale;
  }
  return {std::move(glyphs), std::max(0, x - scale)};
}

void draw_built_in(Image& canvas, int x, int y, const Glyph& glyph, Colour colour, int scale) {
  const int first = extent_of(glyph).first;
  for (int row = 0; row < kFontHeight; ++row)
    for (int column = first; column < 5; ++column)
      if (glyph.rows[row] >> (4 - column) & 1)
        fill_rectangle(canvas, x + (column - first) * scale, y + row * scale, scale, scale, colour);
}

void draw_outline(Image& canvas, int x, int y, const OutlineGlyph& glyph, Colour colour) {
  Image ink(glyph.width, glyph.height, 4);
  for (size_t i = 0; i < glyph.coverage.size(); ++i) {
    uint8_t* pixel = ink.pixels.data() + 4 * i;
    pixel[0] = colour.red, pixel[1] = colour.green, pixel[2] = colour.blue, pixel[3] = glyph.coverage[i];
  }
  paste(canvas, ink, x + glyph.left, y + glyph.top);
}

}  // namespace

void fill_rectangle(Image& canvas, int x, int y, int width, int height, Colour colour) {
  check(canvas.channels == 3, ErrorKind::internal, "draw: a canvas of {} channels", canvas.channels);
  const int right = std::min(x + width, canvas.width), bottom = std::min(y + height, canvas.height);
  for (int row = std::max(y, 0); row < bottom; ++row) {
    for (int column = std::max(x, 0); column < right; ++column) {
      uint8_t* pixel = canvas.at(column, row);
      pixel[0] = colour.red, pixel[1] = colour.green, pixel[2] = colour.blue;
    }
  }
}

void draw_frame(Image& canvas, int x, int y, int width, int height, int thickness, Colour colour) {
  const int outer = width + 2 * thickness;
  fill_rectangle(canvas, x - thickness, y - thickness, outer, thickness, colour);
  fill_rectangle(canvas, x - thickness, y + height, outer, thickness, colour);
  fill_rectangle(canvas, x - thickness, y, thickness, height, colour);
  fill_rectangle(canvas, x + width, y, thickness, height, colour);
}

void paste(Image& canvas, const Image& picture, int x, int y) {
  check(canvas.channels == 3, ErrorKind::internal, "draw: a canvas of {} channels", canvas.channels);
  const int channels = picture.channels;
  for (int row = std::max(0, -y); row < picture.height && y + row < canvas.height; ++row) {
    for (int column = std::max(0, -x); column < picture.width && x + column < canvas.width; ++column) {
      const uint8_t* from = picture.at(column, row);
      uint8_t* to = canvas.at(x + column, y + row);
      const int alpha = channels == 4 ? from[3] : 255;
      for (int c = 0; c < 3; ++c) {
        const int value = from[channels == 1 ? 0 : c];
        to[c] = static_cast<uint8_t>((value * alpha + to[c] * (255 - alpha) + 127) / 255);
      }
    }
  }
}

void draw_text(Image& canvas, int x, int y, std::string_view text, Colour colour, int scale) {
  for (const auto& glyph : lay_out(text::to_code_points_lossy(text), scale).first) {
    if (glyph.built_in) draw_built_in(canvas, x + glyph.x, y, *glyph.built_in, colour, scale);
    if (glyph.outline && glyph.outline->width > 0)
      draw_outline(canvas, x + glyph.x, y, *glyph.outline, colour);
  }
}

int text_width(std::string_view text, int scale) {
  return lay_out(text::to_code_points_lossy(text), scale).second;
}

std::string elide_text(std::string_view text, int width, int scale) {
  if (text_width(text, scale) <= width) return std::string(text);
  const int dots = text_width("...", scale) + scale;
  std::u32string shortened = text::to_code_points_lossy(text);
  size_t fits = 0;
  for (const auto& glyph : lay_out(shortened, scale).first) {
    if (glyph.x + glyph.width + dots > width) break;
    ++fits;
  }
  while (fits > 0 && shortened[fits - 1] == ' ') --fits;
  shortened.resize(fits);
  return text::to_utf8(shortened) + "...";
}

}  // namespace dalle1
