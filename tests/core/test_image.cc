// Reading pictures: every kind that Pillow reads, the limits, and damage.
#include "core/image/image.h"

#include <doctest/doctest.h>
#include <zlib.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "core/error.h"
#include "core/image/png_chunks.h"
#include "core/io/file_bytes.h"
#include "tests/support/golden.h"

using namespace dalle1;
using dalle1::test::golden;

namespace {

int largest_difference(const Image& a, const Image& b) {
  REQUIRE(a.width == b.width);
  REQUIRE(a.height == b.height);
  REQUIRE(a.channels == b.channels);
  int largest = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i)
    largest = std::max(largest, std::abs(a.pixels[i] - b.pixels[i]));
  return largest;
}

std::vector<uint8_t> golden_bytes(const std::string& name) {
  return read_file(golden("image/" + name), 1 << 20);
}

/// The message of the Error(input) that decoding raises.
std::string refusal(const std::vector<uint8_t>& bytes) {
  try {
    decode_image(bytes, "some.png");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::input);
    CHECK(std::string(error.what()).find('\n') == std::string::npos);
    return error.what();
  }
  return "";
}

void patch_crc(std::vector<uint8_t>& png, size_t chunk, size_t length) {
  const auto crc = static_cast<uint32_t>(crc32(0, &png[chunk + 4], static_cast<uInt>(length + 4)));
  for (int i = 0; i < 4; ++i) png[chunk + 8 + length + i] = static_cast<uint8_t>(crc >> (24 - 8 * i));
}

}  // namespace

TEST_CASE("image: every kind of PNG becomes the RGB picture that Pillow makes of it") {
  for (const char* name :
       {"palette4", "palette_transparent", "bilevel", "grey_alpha", "rgb_transparent", "rgb16", "grey16"}) {
    CAPTURE(name);
    const Image expected = read_image(golden(fmt::format("image/{}.expected.png", name)));
    const Image rgb = to_rgb(read_image(golden(fmt::format("image/{}.png", name))));
    CHECK(largest_difference(rgb, expected) == 0);
    CHECK(rgb.origin == PixelOrigin::direct);
  }
}

TEST_CASE("image: JPEG within what another inverse cosine transform and another chroma filter give") {
  CHECK(largest_difference(to_rgb(read_image(golden("image/grey.jpg"))),
                           read_image(golden("image/grey.expected.png"))) <= 2);
  CHECK(largest_difference(read_image(golden("image/progressive.jpg")),
                           read_image(golden("image/progressive.expected.png"))) <= 3);
  CHECK(largest_difference(read_image(golden("image/baseline.jpg")),
                           read_image(golden("image/baseline.expected.png"))) <= 3);
}

TEST_CASE("image: channels and origin say how the file stored its pixels") {
  const auto check_kind = [](const char* name, int channels, PixelOrigin origin) {
    CAPTURE(name);
    const Image image = read_image(golden(std::string("image/") + name));
    CHECK(image.channels == channels);
    CHECK(image.origin == origin);
  };
  check_kind("palette4.png", 3, PixelOrigin::indexed);
  check_kind("palette_transparent.png", 4, PixelOrigin::indexed);
  check_kind("bilevel.png", 1, PixelOrigin::indexed);
  check_kind("grey_alpha.png", 4, PixelOrigin::alpha);
  check_kind("source_rgba.png", 4, PixelOrigin::alpha);
  check_kind("rgb_transparent.png", 3, PixelOrigin::direct);
  check_kind("grey16.png", 1, PixelOrigin::direct);
  check_kind("grey.jpg", 1, PixelOrigin::direct);
  check_kind("baseline.jpg", 3, PixelOrigin::direct);
}

TEST_CASE("image: a picture cut at any byte is refused with one line") {
  for (const char* name : {"source_rgb.png", "palette4.png", "baseline.jpg", "progressive.jpg"}) {
    CAPTURE(name);
    const std::vector<uint8_t> whole = golden_bytes(name);
    for (size_t length = 0; length + 2 < whole.size(); length += 7) {
      CAPTURE(length);
      const std::string message = refusal({whole.begin(), whole.begin() + static_cast<long>(length)});
      CHECK(message.starts_with("some.png: "));
    }
  }
}

TEST_CASE("image: a damaged byte of a PNG never passes unnoticed") {
  const std::vector<uint8_t> whole = golden_bytes("source_rgb.png");
  for (size_t i = 0; i < whole.size(); i += 3) {
    std::vector<uint8_t> damaged = whole;
    damaged[i] ^= 0x10;
    CAPTURE(i);
    CHECK(refusal(damaged) != "");
  }
}

TEST_CASE("image: the message says what is wrong") {
  CHECK(refusal({}) == "some.png: not a PNG or JPEG picture, but an empty file");
  CHECK(refusal({'G', 'I', 'F', '8', '9', 'a'}) ==
        "some.png: not a PNG or JPEG picture, but a GIF picture (convert it to PNG)");
  CHECK(refusal({1, 2, 3, 0xfe}) == "some.png: not a PNG or JPEG picture");
  std::vector<uint8_t> wrong = golden_bytes("source_rgb.png");
  wrong[wrong.size() - 20] ^= 1;
  CHECK(refusal(wrong).find("wrong checksum of chunk IDAT at byte") != std::string::npos);

  std::vector<uint8_t> wide = golden_bytes("source_rgb.png");
  wide[18] = 0x40, wide[19] = 0x01;  // 16385 pixels
  patch_crc(wide, 8, 13);
  CHECK(refusal(wide) == "some.png: 16385 x 29 pixels; at most 16384 a side and 64 megapixels are read");
  wide[18] = 0x40, wide[19] = 0, wide[22] = 0x20;  // 16384 x 8221
  patch_crc(wide, 8, 13);
  CHECK(refusal(wide).find("64 megapixels") != std::string::npos);

  const test::ScratchDir scratch;
  std::ofstream(scratch / "big.png", std::ios::binary).close();
  std::filesystem::resize_file(scratch / "big.png", kMaxImageFileBytes + 1);
  CHECK_THROWS_WITH_AS(read_image(scratch / "big.png"), doctest::Contains("50000001 bytes; at most 50000000"),
                       Error);
  CHECK_THROWS_WITH_AS(read_image(scratch / "absent.png"), doctest::Contains("absent.png: cannot be opened"),
                       Error);
  CHECK_THROWS_WITH_AS(read_image(scratch.path()), doctest::Contains("is a folder"), Error);
}

TEST_CASE("image: a JPEG that would lead a decoder out of its tables is refused before") {
  const std::vector<uint8_t> whole = golden_bytes("baseline.jpg");
  const auto find = [&whole](uint8_t marker) {
    const uint8_t wanted[] = {0xff, marker};
    return static_cast<size_t>(std::search(whole.begin(), whole.end(), wanted, wanted + 2) - whole.begin());
  };
  const auto changed = [&whole](size_t at, uint8_t value) {
    std::vector<uint8_t> bytes = whole;
    bytes.at(at) = value;
    return refusal(bytes);
  };
  const size_t table = find(0xc4), frame = find(0xc0);
  CHECK(changed(table + 4 + 1, 3).find("more codes than there can be") != std::string::npos);
  CHECK(changed(table + 4 + 16, 100).find("too many codes") != std::string::npos);
  CHECK(changed(frame + 4, 12).find("8-bit samples") != std::string::npos);
  CHECK(changed(frame + 1, 0xc9).find("arithmetic-coded") != std::string::npos);
  CHECK(changed(frame + 9, 2).find("unknown components") != std::string::npos);
  CHECK(changed(frame + 5, 0x41).find("64 megapixels") != std::string::npos);
  CHECK(changed(frame + 1, 0xfe).find("a scan before the frame") != std::string::npos);
  CHECK(refusal({whole.begin(), whole.end() - 1}).find("truncated JPEG: ends at byte") != std::string::npos);
}

TEST_CASE("image: a small file cannot ask for much memory") {
  // 200 MB of zeros behind a header of 8 x 8 pixels.
  std::vector<uint8_t> zeros(1 << 20), packed(1 << 20);
  z_stream stream{};
  REQUIRE(deflateInit(&stream, 9) == Z_OK);
  stream.next_out = packed.data();
  stream.avail_out = static_cast<uInt>(packed.size());
  for (int i = 0; i < 200; ++i) {
    stream.next_in = zeros.data();
    stream.avail_in = static_cast<uInt>(zeros.size());
    deflate(&stream, i == 199 ? Z_FINISH : Z_NO_FLUSH);
  }
  packed.resize(stream.total_out);
  deflateEnd(&stream);

  std::vector<uint8_t> png = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  const auto add = [&png](const char* type, const std::vector<uint8_t>& data) {
    const size_t start = png.size();
    for (int shift = 24; shift >= 0; shift -= 8) png.push_back(static_cast<uint8_t>(data.size() >> shift));
    png.insert(png.end(), type, type + 4);
    png.insert(png.end(), data.begin(), data.end());
    png.resize(png.size() + 4);
    patch_crc(png, start, data.size());
  };
  add("IHDR", {0, 0, 0, 8, 0, 0, 0, 8, 8, 2, 0, 0, 0});
  add("IDAT", packed);
  add("IEND", {});
  CHECK(refusal(png).find("damaged PNG") != std::string::npos);
}

TEST_CASE("image: crops and mirror") {
  Image image(5, 4, 3);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<uint8_t>(i);
  const Image part = crop(image, 1, 2, 3, 2);
  CHECK(part.width == 3);
  CHECK(part.at(0, 0)[0] == image.at(1, 2)[0]);
  CHECK(part.at(2, 1)[2] == image.at(3, 3)[2]);
  CHECK(flip_horizontal(image).at(0, 1)[1] == image.at(4, 1)[1]);
  CHECK(flip_horizontal(flip_horizontal(image)).pixels == image.pixels);
  CHECK_THROWS_WITH_AS(crop(image, 3, 0, 3, 1), doctest::Contains("3 x 1 pixels at (3, 0)"), Error);
}
