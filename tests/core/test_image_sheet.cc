// Sheets and the built-in font.
#include <doctest/doctest.h>

#include <set>

#include "core/error.h"
#include "core/image/draw.h"
#include "core/image/font.h"
#include "core/image/outline_font.h"
#include "core/image/sheet.h"

using namespace dalle1;

namespace {

bool is_colour(const Image& image, int x, int y, Colour colour) {
  const uint8_t* pixel = image.at(x, y);
  return pixel[0] == colour.red && pixel[1] == colour.green && pixel[2] == colour.blue;
}

int ink(const Image& image, uint8_t background) {
  int count = 0;
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) count += image.at(x, y)[0] != background;
  }
  return count;
}

std::vector<SheetCell> numbered(int count, int width, int height) {
  std::vector<SheetCell> cells;
  for (int i = 0; i < count; ++i)
    cells.push_back({Image(width, height, 3, static_cast<uint8_t>(i)), "", false});
  return cells;
}

}  // namespace

TEST_CASE("sheet: the font has a distinct glyph of its own for each printable character") {
  std::set<std::array<uint8_t, 9>> seen = {kUnknownGlyph.rows};
  for (const Glyph& glyph : kFont) {
    CHECK(seen.insert(glyph.rows).second);
    for (uint8_t row : glyph.rows) CHECK(row < 32);
  }
}

TEST_CASE("sheet: text is proportional, scaled, clipped, and counts characters instead of bytes") {
  CHECK(text_width("") == 0);
  CHECK(text_width("il") < text_width("mw"));
  CHECK(text_width("seed 7", 3) == 3 * text_width("seed 7"));
  CHECK(text_width("猫") == text_width("\U0001f408"));  // boxes
  CHECK(text_width("猫猫") == 2 * text_width("猫") + 1);
  Image canvas(60, 12, 3, 255);
  draw_text(canvas, 2, 2, "gj|", {0, 0, 0});
  const int once = ink(canvas, 255);
  CHECK(once > 20);
  Image doubled(120, 24, 3, 255);
  draw_text(doubled, 2, 2, "gj|", {0, 0, 0}, 2);
  CHECK(ink(doubled, 255) == 4 * once);
  draw_text(canvas, -20, -4, "outside", {0, 0, 0});
  draw_text(canvas, 55, 10, "outside", {0, 0, 0}, 5);

  CHECK(elide_text("short", 200) == "short");
  const std::string cut = elide_text("a long caption about a red cat", 80);
  CHECK(cut.ends_with("..."));
  CHECK(text_width(cut) <= 80);
  CHECK(text_width(cut) > 60);
  CHECK(elide_text("猫猫猫猫猫猫", 30).starts_with("猫"));
}

TEST_CASE("sheet: characters beyond ASCII come from an outline font") {
  const auto drawn = [](std::string_view text) {
    Image canvas(80, 14, 3, 255);
    draw_text(canvas, 2, 2, text, {0, 0, 0});
    return canvas.pixels;
  };
  CHECK(drawn("кот") != drawn("кит"));
  CHECK(drawn("é") != drawn("è"));
  CHECK(drawn("猫") == drawn("犬"));  // which the font lacks
  const int word = text_width("красный кот");
  CHECK(word > 40);
  CHECK(word < 90);
  const auto glyph = outline_glyph(U'Ж', 14);
  REQUIRE_MESSAGE(glyph, "no font here; tools/install_packages.sh installs it");
  CHECK(glyph->top == 0);
  CHECK(glyph->height == 14);
  CHECK(glyph->coverage.size() == static_cast<size_t>(glyph->width) * 14);
  CHECK(elide_text("красный круг над синим квадратом", 80).starts_with("красный"));
  CHECK(text_width(elide_text("красный круг над синим квадратом", 80)) <= 80);
}

TEST_CASE("sheet: paste blends alpha and clips") {
  Image canvas(4, 4, 3, 100);
  Image glass(2, 2, 4, 200);
  for (int i = 0; i < 4; ++i) glass.pixels[i * 4 + 3] = static_cast<uint8_t>(i * 85);
  paste(canvas, glass, 1, 1);
  CHECK(is_colour(canvas, 1, 1, {100, 100, 100}));
  CHECK(is_colour(canvas, 2, 1, {133, 133, 133}));
  CHECK(is_colour(canvas, 2, 2, {200, 200, 200}));
  paste(canvas, Image(3, 3, 1, 7), 3, -2);
  CHECK(is_colour(canvas, 3, 0, {7, 7, 7}));
  CHECK(is_colour(canvas, 3, 1, {100, 100, 100}));
}

TEST_CASE("sheet: columns fill rows before anything else") {
  CHECK(choose_sheet_columns(1, 10, 10) == 1);
  CHECK(choose_sheet_columns(2, 10, 10) == 2);
  CHECK(choose_sheet_columns(9, 10, 10) == 3);
  CHECK(choose_sheet_columns(32, 10, 10) == 8);
  CHECK(choose_sheet_columns(64, 10, 10) == 8);
  CHECK(choose_sheet_columns(7, 10, 10) == 4);
  CHECK(choose_sheet_columns(4, 100, 10) < choose_sheet_columns(4, 10, 100));
}

TEST_CASE("sheet: pictures stand in reading order at even spacing") {
  const Image sheet = draw_sheet(numbered(5, 20, 10), {.columns = 3, .margin = 6});
  CHECK(sheet.width == 3 * 26 + 6);
  CHECK(sheet.height == 2 * 16 + 6);
  for (int i = 0; i < 5; ++i) {
    const int x = 6 + i % 3 * 26, y = 6 + i / 3 * 16;
    const auto value = static_cast<uint8_t>(i);
    CHECK(is_colour(sheet, x, y, {value, value, value}));
    CHECK(is_colour(sheet, x + 19, y + 9, {value, value, value}));
    CHECK(is_colour(sheet, x - 1, y, {246, 246, 243}));
    CHECK(is_colour(sheet, x, y + 10, {246, 246, 243}));
  }
}

TEST_CASE("sheet: title, captions and the frame of the best leave the pictures alone") {
  std::vector<SheetCell> cells = numbered(4, 64, 64);
  const Image bare = draw_sheet(cells, {.columns = 2, .margin = 8});
  cells[1].caption = "#1  0.312 gjpqy";
  cells[1].highlight = true;
  const Image sheet = draw_sheet(cells, {.title = "a red cat, 4 of 512", .columns = 2, .margin = 8});
  CHECK(sheet.height > bare.height);
  CHECK(sheet.width == bare.width);
  const int left = 8 + 64 + 8, top = 2 * kFontHeight + 8 + 8;
  for (int y = 0; y < 64; ++y) {
    for (int x = 0; x < 64; ++x) REQUIRE(is_colour(sheet, left + x, top + y, {1, 1, 1}));
  }
  for (const auto& [x, y] :
       {std::pair{left - 1, top}, {left + 64, top + 63}, {left, top - 1}, {left + 5, top + 64}}) {
    CHECK(is_colour(sheet, x, y, {226, 98, 20}));
  }
  CHECK(is_colour(sheet, 8 + 64, top, {246, 246, 243}));
}

TEST_CASE("sheet: once a caption does not fit, all give way to their brief forms") {
  std::vector<SheetCell> cells = numbered(2, 64, 64), brief = cells;
  cells[0].caption = "#0 candidate 4 0.90";  // wider than 64 pixels
  cells[1].caption = "#1 4";
  for (int i = 0; i < 2; ++i) cells[i].brief = brief[i].caption = i == 0 ? "#0 0.90" : "#1 0.80";
  CHECK(draw_sheet(cells).pixels == draw_sheet(brief).pixels);
  cells[0].caption = "#0 4";
  CHECK(draw_sheet(cells).pixels != draw_sheet(brief).pixels);
}

TEST_CASE("sheet: what cannot be drawn is refused") {
  CHECK_THROWS_WITH_AS(draw_sheet({}), doctest::Contains("no pictures"), Error);
  std::vector<SheetCell> cells = numbered(2, 8, 8);
  cells[1].picture = Image(8, 9, 3);
  CHECK_THROWS_WITH_AS(draw_sheet(cells), doctest::Contains("picture 1 has 8 x 9"), Error);
  CHECK_THROWS_WITH_AS(draw_sheet(numbered(20, 1000, 1000), {.columns = 20}), doctest::Contains("use fewer"),
                       Error);
}
