// Resizing against Pillow's results (tests/golden/image/make_golden.py).
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "core/error.h"
#include "core/image/resample.h"
#include "tests/support/golden.h"

using namespace dalle1;

namespace {

Image golden_image(const std::string& name) { return read_image(test::golden("image/" + name)); }

int largest_difference(const Image& a, const Image& b) {
  REQUIRE(a.width == b.width);
  REQUIRE(a.height == b.height);
  REQUIRE(a.channels == b.channels);
  int largest = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i)
    largest = std::max(largest, std::abs(a.pixels[i] - b.pixels[i]));
  return largest;
}

void check_like_pillow(const std::string& mode, const char* name, Filter filter, int width, int height) {
  CAPTURE(mode);
  CAPTURE(name);
  CAPTURE(width);
  const Image source = golden_image("source_" + mode + ".png");
  const Image expected = golden_image(fmt::format("resize_{}_{}_{}x{}.png", mode, name, width, height));
  CHECK(largest_difference(resize(source, width, height, filter_as_pillow(source, filter)), expected) == 0);
}

}  // namespace

TEST_CASE("resample: equal to Pillow bit for bit") {
  const std::pair<const char*, Filter> filters[] = {{"bicubic", Filter::bicubic},
                                                    {"lanczos", Filter::lanczos},
                                                    {"bilinear", Filter::bilinear},
                                                    {"box", Filter::box},
                                                    {"nearest", Filter::nearest}};
  for (const auto& [name, filter] : filters) {
    check_like_pillow("rgb", name, filter, 16, 13);
    check_like_pillow("rgb", name, filter, 53, 41);
    check_like_pillow("rgb", name, filter, 37, 5);
  }
  check_like_pillow("rgb", "lanczos", Filter::lanczos, 1, 1);
  check_like_pillow("grey", "bicubic", Filter::bicubic, 16, 13);
  check_like_pillow("grey", "lanczos", Filter::lanczos, 50, 8);
}

TEST_CASE("resample: alpha is multiplied in, palettes go by nearest neighbour, as in Pillow") {
  check_like_pillow("rgba", "bicubic", Filter::bicubic, 16, 13);
  check_like_pillow("rgba", "lanczos", Filter::lanczos, 53, 41);
  check_like_pillow("rgba", "nearest", Filter::nearest, 16, 13);
  check_like_pillow("palette", "bicubic", Filter::bicubic, 16, 13);
}

TEST_CASE("resample: area is the mean over what a pixel covers, fractions included") {
  const Image source = golden_image("source_rgb.png");
  for (const auto& [width, height] : {std::pair{16, 13}, {53, 41}, {1, 29}}) {
    CAPTURE(width);
    const Image expected = golden_image(fmt::format("area_rgb_{}x{}.png", width, height));
    CHECK(largest_difference(resize(source, width, height, Filter::area), expected) == 0);
  }
}

TEST_CASE("resample: a constant picture stays constant under every filter") {
  for (Filter filter :
       {Filter::nearest, Filter::box, Filter::bilinear, Filter::bicubic, Filter::lanczos, Filter::area}) {
    for (const auto& [width, height] : {std::pair{3, 50}, {19, 1}, {1, 1}}) {
      const Image out = resize(Image(7, 9, 3, 201), width, height, filter);
      CHECK(std::all_of(out.pixels.begin(), out.pixels.end(), [](uint8_t value) { return value == 201; }));
    }
  }
}

TEST_CASE("resample: CLIP's size and crop") {
  const Image source = golden_image("source_rgb.png");
  CHECK(largest_difference(fit_square(source, 16, Filter::bicubic, SideRounding::truncate),
                           golden_image("clip_rgb_16.png")) == 0);
}

TEST_CASE("resample: fit_square is the middle of the whole picture resized, in every mode") {
  for (const char* mode : {"rgb", "grey", "rgba", "palette"}) {
    const Image source = golden_image(fmt::format("source_{}.png", mode));  // 37 x 29
    for (Filter filter : {Filter::nearest, Filter::box, Filter::bicubic, Filter::lanczos, Filter::area}) {
      for (const auto& [size, longer] : {std::pair{16, 20}, {29, 37}, {50, 63}}) {
        CAPTURE(mode);
        CAPTURE(size);
        const Image wide = resize(source, longer, size, filter);
        const auto cut = static_cast<int>(std::lrint((longer - size) / 2.0));
        const Image square = fit_square(source, size, filter, SideRounding::truncate);
        CHECK(largest_difference(square, crop(wide, cut, 0, size, size)) == 0);
        CHECK(square.origin == source.origin);
      }
    }
  }
  Image tall(20, 400, 3);
  for (size_t i = 0; i < tall.pixels.size(); ++i) tall.pixels[i] = static_cast<uint8_t>(i * i % 251);
  CHECK(fit_square(tall, 64, Filter::bicubic).pixels ==
        crop(resize(tall, 64, 1280, Filter::bicubic), 0, 608, 64, 64).pixels);
}

TEST_CASE("resample: fit_square takes any aspect, also strips") {
  for (const auto& [width, height] : {std::pair{1, 1}, {1, 16384}, {16384, 1}, {3, 200}, {40, 30}}) {
    const Image out = fit_square(Image(width, height, 3, 77), 64);
    CHECK(out.width == 64);
    CHECK(out.height == 64);
    CHECK(out.pixels == Image(64, 64, 3, 77).pixels);
  }
  // The middle of a strip is the same whether the strip is long or very long.
  Image strip(5, 45, 1);
  for (size_t i = 0; i < strip.pixels.size(); ++i) strip.pixels[i] = static_cast<uint8_t>(i * 37);
  Image longer(5, 16325, 1);
  std::copy(strip.pixels.begin(), strip.pixels.end(), longer.at(0, 8140));
  for (Filter filter : {Filter::nearest, Filter::area, Filter::bicubic, Filter::lanczos})
    CHECK(fit_square(longer, 20, filter).pixels == fit_square(strip, 20, filter).pixels);
  CHECK_THROWS_AS(resize(strip, 0, 4, Filter::box), Error);
  CHECK_THROWS_AS(resize(strip, 20000, 4, Filter::box), Error);
}
