#include <doctest/doctest.h>

#include <functional>

#include "core/error.h"
#include "core/random/philox.h"
#include "rerank/complete.h"

using namespace dalle1;
using namespace dalle1::rerank;

namespace {

ErrorKind kind_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.kind();
  }
  return ErrorKind::internal;
}

std::string drawn(const Redraw& redraw) {
  std::string text;
  for (int row = 0; row < redraw.grid; ++row) {
    for (int column = 0; column < redraw.grid; ++column) text += redraw.at(row, column) ? '#' : '.';
    text += '\n';
  }
  return text;
}

Image noise(int width, int height, uint32_t index) {
  Image image(width, height, 3);
  RandomStream random(3, Stream::test, index);
  for (auto& value : image.pixels) value = static_cast<uint8_t>(random.bits());
  return image;
}

}  // namespace

TEST_CASE("kept rows") {
  CHECK(drawn(keep_top_rows(4, 3)) == "....\n....\n....\n####\n");
  for (const int rows : {-1, 0, 4, 9}) CHECK(kind_of([&] { keep_top_rows(4, rows); }) == ErrorKind::usage);
}

TEST_CASE("a region is rounded out to cells of the centred square") {
  const Image picture(60, 40, 3);  // the square is [10, 50) x [0, 40), a cell is 10 pixels
  CHECK(drawn(redraw_region(4, picture, {30, 20, 20, 20})) == "....\n....\n..##\n..##\n");
  CHECK(drawn(redraw_region(4, picture, {29, 19, 2, 2})) == "....\n.##.\n.##.\n....\n");
  CHECK(drawn(redraw_region(4, picture, {0, 0, 60, 1})) == "####\n....\n....\n....\n");
  CHECK(kind_of([&] { redraw_region(4, picture, {0, 0, 10, 40}); }) == ErrorKind::input);
  CHECK(kind_of([&] { redraw_region(4, picture, {50, 30, 11, 5}); }) == ErrorKind::input);
  CHECK(kind_of([&] { redraw_region(4, picture, {5, 5, 0, 5}); }) == ErrorKind::input);
  CHECK(kind_of([&] { redraw_region(4, picture, {1, 1, 2147483647, 2147483647}); }) == ErrorKind::input);
}

TEST_CASE("a mask marks by alpha if it has one, else by white, and touches cells of any size") {
  const Image picture(8, 8, 3);
  Image white(8, 8, 1);
  *white.at(5, 0) = 255;
  *white.at(0, 7) = 128;
  CHECK(drawn(redraw_mask(4, picture, white)) == "..#.\n....\n....\n#...\n");
  Image alpha(8, 8, 4, 255);
  alpha.at(3, 3)[3] = 0;
  CHECK(drawn(redraw_mask(4, picture, alpha)) == "....\n.#..\n....\n....\n");
  const Image tiny(2, 2, 3);  // smaller than the grid: a pixel is two cells wide
  Image corner(2, 2, 3);
  for (int c = 0; c < 3; ++c) corner.at(1, 0)[c] = 255;
  CHECK(drawn(redraw_mask(4, tiny, corner)) == "..##\n..##\n....\n....\n");
  CHECK(kind_of([&] { redraw_mask(4, picture, Image(8, 8, 1)); }) == ErrorKind::input);
  CHECK(kind_of([&] { redraw_mask(4, picture, Image(8, 9, 1, 255)); }) == ErrorKind::input);
}

TEST_CASE("the rest is what comes behind the last redrawn cell") {
  auto redraw = redraw_region(4, Image(8, 8, 3), {2, 2, 4, 4});
  CHECK(drawn(redraw) == "....\n.##.\n.##.\n....\n");
  redraw_rest(redraw);
  CHECK(drawn(redraw) == "....\n.##.\n.###\n####\n");
}

TEST_CASE("forced cells are the picture's tokens outside of what is redrawn") {
  const auto redraw = keep_top_rows(2, 1);
  CHECK(forced_cells(redraw, {5, 6, 7, 8}) == std::vector<int32_t>{5, 6, -1, -1});
}

TEST_CASE("pasting keeps redrawn pixels exactly and kept pixels exactly beyond one cell from the seam") {
  const auto redraw = redraw_region(8, Image(64, 64, 3), {16, 24, 16, 16});
  const auto given = noise(64, 64, 1), generated = noise(64, 64, 2);
  const auto joined = paste_kept(given, generated, redraw);
  for (int y = 0; y < 64; ++y) {
    for (int x = 0; x < 64; ++x) {
      const int dx = std::max({16 - x, x - 31, 0}), dy = std::max({24 - y, y - 39, 0});
      for (int c = 0; c < 3; ++c) {
        const int low = std::min(given.at(x, y)[c], generated.at(x, y)[c]);
        const int high = std::max(given.at(x, y)[c], generated.at(x, y)[c]);
        if (dx == 0 && dy == 0) CHECK(joined.at(x, y)[c] == generated.at(x, y)[c]);
        if (dx > 8 || dy > 8) CHECK(joined.at(x, y)[c] == given.at(x, y)[c]);
        CHECK(joined.at(x, y)[c] >= low);
        CHECK(joined.at(x, y)[c] <= high);
      }
    }
  }
}
