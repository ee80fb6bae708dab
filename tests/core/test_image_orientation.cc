// Pictures turned as their EXIF says, and colours of JPEGs whose markers say little.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "core/error.h"
#include "core/image/exif.h"
#include "core/image/image.h"
#include "core/image/jpeg_segments.h"
#include "core/image/png.h"
#include "core/io/file_bytes.h"
#include "tests/support/exif.h"
#include "tests/support/golden.h"

using namespace dalle1;
using dalle1::test::golden;
using dalle1::test::put;
using dalle1::test::tiff;
using dalle1::test::with_exif;
using Bytes = std::vector<uint8_t>;

namespace {

Bytes with_segment(const Bytes& jpeg, uint8_t marker, const Bytes& body) {
  Bytes segment{0xff, marker};
  put(segment, static_cast<uint32_t>(body.size() + 2), 2, false);
  segment.insert(segment.end(), body.begin(), body.end());
  Bytes out = jpeg;
  out.insert(out.begin() + 2, segment.begin(), segment.end());
  return out;
}

Bytes exif_segment(const Bytes& tiff) {
  Bytes body{'E', 'x', 'i', 'f', 0, 0};
  body.insert(body.end(), tiff.begin(), tiff.end());
  return body;
}

Bytes adobe(uint8_t transform) { return {'A', 'd', 'o', 'b', 'e', 0, 100, 0, 0, 0, 0, transform}; }

/// The grey levels of a picture, row by row.
Bytes levels(const Image& image) { return image.pixels; }

Image two_by_three() {
  Image image(2, 3, 1);
  image.pixels = {1, 2,  //
                  3, 4,  //
                  5, 6};
  return image;
}

Bytes golden_bytes(const std::string& name) { return read_file(golden("image/" + name), 1 << 20); }

Bytes without_segment(Bytes jpeg, uint8_t marker) {
  const uint8_t wanted[] = {0xff, marker};
  const auto at = std::search(jpeg.begin(), jpeg.end(), wanted, wanted + 2);
  REQUIRE(at != jpeg.end());
  jpeg.erase(at, at + 2 + (at[2] << 8 | at[3]));
  return jpeg;
}

int largest_difference(const Image& a, const Image& b) {
  REQUIRE(a.pixels.size() == b.pixels.size());
  int largest = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i)
    largest = std::max(largest, std::abs(a.pixels[i] - b.pixels[i]));
  return largest;
}

}  // namespace

TEST_CASE("orientation: the eight of EXIF") {
  // What Pillow's ImageOps.exif_transpose makes of rows 1 2, 3 4, 5 6.
  const std::array<Bytes, 8> expected{Bytes{1, 2, 3, 4, 5, 6}, {2, 1, 4, 3, 6, 5}, {6, 5, 4, 3, 2, 1},
                                      {5, 6, 3, 4, 1, 2},      {1, 3, 5, 2, 4, 6}, {5, 3, 1, 6, 4, 2},
                                      {6, 4, 2, 5, 3, 1},      {2, 4, 6, 1, 3, 5}};
  for (int orientation = 1; orientation <= 8; ++orientation) {
    CAPTURE(orientation);
    for (const bool little : {false, true}) {
      const Bytes png =
          with_exif(encode_png(two_by_three()), tiff(little, static_cast<uint32_t>(orientation)));
      const Image image = decode_image(png, "turned.png");
      CHECK(levels(image) == expected[static_cast<size_t>(orientation - 1)]);
      CHECK(image.width == (orientation < 5 ? 2 : 3));
    }
  }
}

TEST_CASE("orientation: of a JPEG, whatever the byte order, with alpha and origin kept") {
  const Bytes plain = golden_bytes("baseline.jpg");
  const Image stored = decode_image(plain, "plain.jpg");
  for (const bool little : {false, true}) {
    const Image turned = decode_image(with_segment(plain, 0xe1, exif_segment(tiff(little, 6))), "turned.jpg");
    CHECK(turned.width == stored.height);
    CHECK(turned.pixels == oriented(stored, 6).pixels);
    CHECK(turned.at(stored.height - 1, 0)[0] == stored.at(0, 0)[0]);  // the first pixel is at the upper right
  }
  Image rgba(2, 1, 4);
  rgba.pixels = {1, 2, 3, 4, 5, 6, 7, 8};
  const Image mirrored = decode_image(with_exif(encode_png(rgba), tiff(true, 2)), "a.png");
  CHECK(mirrored.pixels == Bytes{5, 6, 7, 8, 1, 2, 3, 4});
  CHECK(mirrored.origin == PixelOrigin::alpha);
}

TEST_CASE("orientation: numbers of other types, and damage that keeps no picture from being read") {
  CHECK(exif_orientation(tiff(true, 8, 4)) == 8);
  CHECK(exif_orientation(tiff(false, 3, 1)) == 3);
  CHECK(exif_orientation(tiff(true, 0)) == 1);
  CHECK(exif_orientation(tiff(true, 9)) == 1);
  CHECK(exif_orientation(tiff(false, 6, 2)) == 1);  // text
  CHECK(exif_orientation({}) == 1);
  const Bytes whole = tiff(false, 6);
  for (size_t size = 0; size < whole.size(); ++size) {
    const int found = exif_orientation(std::span(whole).first(size));
    CHECK((found == 1 || found == 6));
  }
  Bytes astray = whole;
  std::fill(astray.begin() + 4, astray.begin() + 8, 0xff);  // a directory beyond the end
  CHECK(exif_orientation(astray) == 1);
  Bytes endless = whole;
  endless[8] = endless[9] = 0xff;  // 65,535 entries
  CHECK(exif_orientation(endless) == 6);
  const Bytes jpeg = golden_bytes("baseline.jpg");
  CHECK(decode_image(with_segment(jpeg, 0xe1, exif_segment(astray)), "a.jpg").pixels ==
        decode_image(jpeg, "a.jpg").pixels);
}

TEST_CASE("JPEG colours: four components are inverted CMYK unless Adobe's marker says YCCK") {
  const Bytes bare = golden_bytes("cmyk_no_marker.jpg");
  const Image image = decode_image(bare, "cmyk.jpg");
  const auto near = [&](int x, int y, int r, int g, int b) {
    const uint8_t* pixel = image.at(x, y);
    CAPTURE(x);
    CAPTURE(y);
    // Pillow's convert("RGB"), give or take what another inverse cosine transform does.
    CHECK(std::abs(pixel[0] - r) <= 4);
    CHECK(std::abs(pixel[1] - g) <= 4);
    CHECK(std::abs(pixel[2] - b) <= 4);
  };
  near(64, 64, 220, 30, 30);
  near(192, 64, 30, 160, 40);
  near(64, 192, 30, 60, 220);
  near(192, 192, 240, 220, 60);
  CHECK(decode_image(with_segment(bare, 0xee, adobe(0)), "marked.jpg").pixels == image.pixels);
  const Image ycck = decode_image(with_segment(bare, 0xee, adobe(2)), "ycck.jpg");
  CHECK(largest_difference(ycck, image) > 50);
  CHECK(decode_image(with_segment(bare, 0xee, adobe(1)), "odd.jpg").pixels == ycck.pixels);
}

TEST_CASE("JPEG colours: three components are YCbCr unless the markers or names say RGB") {
  const Bytes jfif = golden_bytes("baseline.jpg");
  const Image image = decode_image(jfif, "jfif.jpg");
  CHECK(decode_image(with_segment(jfif, 0xee, adobe(0)), "both.jpg").pixels == image.pixels);  // JFIF decides
  const Bytes bare = without_segment(jfif, 0xe0);
  CHECK(decode_image(bare, "bare.jpg").pixels == image.pixels);
  CHECK(decode_image(with_segment(bare, 0xee, adobe(1)), "adobe.jpg").pixels == image.pixels);
  const Image rgb = decode_image(with_segment(bare, 0xee, adobe(0)), "rgb.jpg");
  CHECK(largest_difference(rgb, image) > 50);
  // The same by the names of the components, in the frame and in the scan.
  Bytes named = bare;
  for (const uint8_t marker : {0xc0, 0xda}) {
    const uint8_t wanted[] = {0xff, marker};
    auto at = std::search(named.begin(), named.end(), wanted, wanted + 2) + (marker == 0xc0 ? 10 : 5);
    for (const char name : {'R', 'G', 'B'}) {
      *at = static_cast<uint8_t>(name);
      at += marker == 0xc0 ? 3 : 2;
    }
  }
  CHECK(decode_image(named, "named.jpg").pixels == rgb.pixels);
}
