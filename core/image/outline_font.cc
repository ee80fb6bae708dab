#include "core/image/outline_font.h"

#include <ft2build.h>
#include FT_FREETYPE_H

#include <mutex>

namespace dalle1 {
namespace {

// DejaVu Sans: a capital's height of 1,493 in 2,048 units of the em square.
constexpr double kEmOfCapital = 2048.0 / 1493.0;

// The font, opened at the first use and kept.
class Face {
 public:
  Face() {
    if (FT_Init_FreeType(&library_)) return;
    if (FT_New_Face(library_, DALLE1_FONT, 0, &face_)) face_ = nullptr;
  }
  ~Face() {
    if (face_) FT_Done_Face(face_);
    if (library_) FT_Done_FreeType(library_);
  }
  Face(const Face&) = delete;
  Face& operator=(const Face&) = delete;

  std::optional<OutlineGlyph> glyph(char32_t character, int capital_height) {
    const std::lock_guard lock(mutex_);
    const auto index = face_ ? FT_Get_Char_Index(face_, character) : 0;
    if (index == 0) return std::nullopt;
    const auto em = static_cast<FT_UInt>(capital_height * kEmOfCapital + 0.5);
    if (FT_Set_Pixel_Sizes(face_, 0, em) || FT_Load_Glyph(face_, index, FT_LOAD_NO_HINTING | FT_LOAD_RENDER))
      return std::nullopt;
    const FT_GlyphSlot slot = face_->glyph;
    const FT_Bitmap& bitmap = slot->bitmap;
    OutlineGlyph glyph;
    glyph.left = slot->bitmap_left;
    glyph.top = capital_height - slot->bitmap_top;
    glyph.width = static_cast<int>(bitmap.width);
    glyph.height = static_cast<int>(bitmap.rows);
    glyph.advance = static_cast<int>((slot->advance.x + 32) >> 6);  // in 64ths of a pixel
    for (int row = 0; row < glyph.height; ++row) {
      const uint8_t* first = bitmap.buffer + row * bitmap.pitch;
      glyph.coverage.insert(glyph.coverage.end(), first, first + glyph.width);
    }
    return glyph;
  }

 private:
  std::mutex mutex_;
  FT_Library library_ = nullptr;
  FT_Face face_ = nullptr;
};

}  // namespace

std::optional<OutlineGlyph> outline_glyph(char32_t character, int capital_height) {
  static Face face;
  return face.glyph(character, capital_height);
}

}  // namespace dalle1
