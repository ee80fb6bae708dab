// Drawing on RGB pictures: rectangles, pictures, and text. Everything is clipped.
#pragma once

#include <string>
#include <string_view>

#include "core/image/image.h"

namespace dalle1 {

struct Colour {
  uint8_t red = 0, green = 0, blue = 0;
};

/// `canvas` must have 3 channels: Error(internal).
void fill_rectangle(Image& canvas, int x, int y, int width, int height, Colour colour);
/// `thickness` pixels around the outside of the rectangle.
void draw_frame(Image& canvas, int x, int y, int width, int height, int thickness, Colour colour);
/// Puts a picture of any kind with its corner at (x, y); RGBA is blended over what is there.
void paste(Image& canvas, const Image& picture, int x, int y);

/// Rows of the font, before `scale`.
inline constexpr int kFontHeight = 9;

/// One line of text with its top left corner at (x, y), every pixel of the built-in font `scale` pixels wide.
/// That font has ASCII; other characters of the UTF-8 text come from an outline font (outline_font.h), one by
/// one from left to right, and those that it lacks are drawn as an empty box.
void draw_text(Image& canvas, int x, int y, std::string_view text, Colour colour, int scale = 1);
int text_width(std::string_view text, int scale = 1);  ///< pixels

/// `text`, or as much of its beginning as fits into `width` pixels together with "...".
std::string elide_text(std::string_view text, int width, int scale = 1);

}  // namespace dalle1
