#include "core/image/draw.h"

#include <algorithm>
#include <bit>
#include <cstdlib>

#include "core/error.h"
#include "core/image/font.h"
#include "core/text/utf8.h"

namespace dalle1 {
namespace {

constexpr int kSpaceWidth = 3;

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

/// Calls visit(glyph, x, number of the character) with x in font pixels; returns the width of the line.
template <typename Visit>
int lay_out(std::u32string_view text, const Visit& visit) {
  int x = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool known = text[i] >= ' ' && text[i] <= '~';
    const Glyph& glyph = known ? kFont[text[i] - ' '] : kUnknownGlyph;
    visit(glyph, x, i);
    x += extent_of(glyph).width + 1;
  }
  return std::max(0, x - 1);
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
  lay_out(text::to_code_points_lossy(text), [&](const Glyph& glyph, int left, size_t) {
    const int first = extent_of(glyph).first;
    for (int row = 0; row < kFontHeight; ++row) {
      for (int column = first; column < 5; ++column) {
        if (!(glyph.rows[row] >> (4 - column) & 1)) continue;
        fill_rectangle(canvas, x + (left + column - first) * scale, y + row * scale, scale, scale, colour);
      }
    }
  });
}

int text_width(std::string_view text, int scale) {
  return scale * lay_out(text::to_code_points_lossy(text), [](const Glyph&, int, size_t) {});
}

std::string elide_text(std::string_view text, int width, int scale) {
  if (text_width(text, scale) <= width) return std::string(text);
  const int dots = text_width("...", 1) + 1;
  std::u32string shortened = text::to_code_points_lossy(text);
  size_t fits = 0;
  lay_out(shortened, [&](const Glyph& glyph, int left, size_t i) {
    if ((left + extent_of(glyph).width + dots) * scale <= width) fits = i + 1;
  });
  while (fits > 0 && shortened[fits - 1] == ' ') --fits;
  shortened.resize(fits);
  return text::to_utf8(shortened) + "...";
}

}  // namespace dalle1
