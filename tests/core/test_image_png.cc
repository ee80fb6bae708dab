// Writing PNG, and text chunks in both directions.
#include <doctest/doctest.h>
#include <zlib.h>

#include <cstring>
#include <fstream>
#include <set>

#include "core/error.h"
#include "core/image/png.h"
#include "core/image/png_chunks.h"
#include "core/io/file_bytes.h"
#include "tests/support/golden.h"

using namespace dalle1;

namespace {

Image noise(int width, int height, int channels) {
  Image image(width, height, channels);
  uint32_t state = 1;
  for (uint8_t& value : image.pixels)
    value = static_cast<uint8_t>((state = state * 1664525 + 1013904223) >> 24);
  return image;
}

/// A PNG whose second chunk is `type` with `data`.
std::vector<uint8_t> with_chunk(const char* type, const std::string& data) {
  std::vector<uint8_t> png = encode_png(Image(1, 1, 1));
  std::vector<uint8_t> chunk(data.size() + 12);
  const auto put = [&chunk](size_t at, uint32_t value) {
    for (int i = 0; i < 4; ++i) chunk[at + i] = static_cast<uint8_t>(value >> (24 - 8 * i));
  };
  put(0, static_cast<uint32_t>(data.size()));
  std::memcpy(&chunk[4], type, 4);
  std::memcpy(&chunk[8], data.data(), data.size());
  put(8 + data.size(), static_cast<uint32_t>(crc32(0, &chunk[4], static_cast<uInt>(data.size() + 4))));
  png.insert(png.begin() + 33, chunk.begin(), chunk.end());
  return png;
}

std::string deflated(const std::string& text) {
  uLongf length = compressBound(text.size());
  std::string out(length, '\0');
  compress(reinterpret_cast<Bytef*>(out.data()), &length, reinterpret_cast<const Bytef*>(text.data()),
           text.size());
  out.resize(length);
  return out;
}

using namespace std::string_literals;

}  // namespace

TEST_CASE("png: what is written reads back, for each kind and odd sizes") {
  for (int channels : {1, 3, 4}) {
    for (const auto& [width, height] : {std::pair{1, 1}, {1, 7}, {13, 1}, {31, 17}}) {
      CAPTURE(channels);
      CAPTURE(width);
      const Image image = noise(width, height, channels);
      const Image back = decode_image(encode_png(image), "memory");
      CHECK(back.channels == channels);
      CHECK(back.width == width);
      CHECK(back.pixels == image.pixels);
    }
  }
}

TEST_CASE("png: each of the five filters is used where it is best and undone by the reader") {
  // Rows of: constant, ramp to the right, ramp downwards, both, noise.
  Image image(64, 40, 3);
  uint32_t state = 9;
  for (int y = 0; y < image.height; ++y) {
    for (int i = 0; i < 64 * 3; ++i) {
      const int values[] = {200, i * 2, y * 9 + i * i, (y + i) * 3,
                            static_cast<int>((state = state * 1664525 + 1) >> 24)};
      image.at(0, y)[i] = static_cast<uint8_t>(values[y / 8]);
    }
  }
  const std::vector<uint8_t> png = encode_png(image);
  CHECK(decode_image(png, "memory").pixels == image.pixels);
  std::vector<uint8_t> rows(image.pixels.size() + image.height);
  for_each_png_chunk(png, "memory", [&rows](const PngChunk& chunk) {
    uLongf length = rows.size();
    if (chunk.type == "IDAT"s)
      CHECK(uncompress(rows.data(), &length, chunk.data.data(), chunk.data.size()) == Z_OK);
  });
  std::set<int> filters;
  for (int y = 0; y < image.height; ++y) filters.insert(rows[y * (image.row_bytes() + 1)]);
  CHECK(filters == std::set<int>{0, 1, 2, 3, 4});
  CHECK(encode_png(image) == png);
}

TEST_CASE("png: text survives, in any script, and is absent without it") {
  const std::vector<PngText> texts = {{"parameters", "a red cat\nSteps: 1024, Seed: 7"},
                                      {"dalle1", "{\"prompt\": \"красный 猫 🐈 قطة\"}"},
                                      {"empty", ""}};
  const test::ScratchDir scratch;
  write_png(scratch / "with.png", noise(8, 8, 3), texts);
  CHECK(read_png_text(scratch / "with.png") == texts);
  CHECK(read_image(scratch / "with.png").pixels == noise(8, 8, 3).pixels);
  write_png(scratch / "without.png", noise(8, 8, 3));
  CHECK(read_png_text(scratch / "without.png").empty());
  int chunks = 0;
  for_each_png_chunk(read_file(scratch / "without.png", 1 << 20), "x", [&](const PngChunk&) { ++chunks; });
  CHECK(chunks == 3);

  CHECK_THROWS_AS(encode_png(Image(1, 1, 1), std::vector<PngText>{{"", "x"}}), Error);
  CHECK_THROWS_AS(encode_png(Image(1, 1, 1), std::vector<PngText>{{std::string(80, 'k'), "x"}}), Error);
  CHECK_THROWS_AS(encode_png(Image(1, 1, 1), std::vector<PngText>{{"k", "a\0b"s}}), Error);
  CHECK_THROWS_AS(encode_png(Image(1, 1, 1), std::vector<PngText>{{"k", "\xff"}}), Error);
  CHECK_THROWS_AS(write_png(scratch / "no/such/folder.png", Image(1, 1, 1)), Error);
}

TEST_CASE("png: the text chunks of other programs") {
  CHECK(read_png_text(with_chunk("tEXt", "Title\0caf\xe9"s), "x") == std::vector<PngText>{{"Title", "café"}});
  CHECK(read_png_text(with_chunk("zTXt", "Title\0\0"s + deflated("caf\xe9")), "x") ==
        std::vector<PngText>{{"Title", "café"}});
  CHECK(read_png_text(with_chunk("iTXt", "k\0\1\0en\0Schlüssel\0"s + deflated("naïve")), "x") ==
        std::vector<PngText>{{"k", "naïve"}});
  CHECK(read_png_text(with_chunk("iTXt", "k\0\0\0\0\0a\xff z"s), "x") ==
        std::vector<PngText>{{"k", "a\uFFFD z"}});
}

TEST_CASE("png: malformed and oversized text is refused by name") {
  const auto refused = [](const char* type, const std::string& data, const char* why) {
    CHECK_THROWS_WITH_AS(read_png_text(with_chunk(type, data), "some.png"), doctest::Contains(why), Error);
  };
  refused("tEXt", "no end", "some.png: chunk tEXt at byte 33: a field does not end");
  refused("iTXt", "k\0"s, "a field is missing");
  refused("iTXt", "k\0\1\7\0\0x"s, "unknown compression");
  refused("iTXt", "k\0\0\0en"s, "a field does not end");
  refused("zTXt", "k\0\0not deflate"s, "damaged");
  refused("zTXt", "k\0\0"s + deflated("hello").substr(0, 6), "damaged");
  refused("zTXt", "k\0\0"s + deflated(std::string(17 << 20, 'a')), "more than 16 MiB");
  CHECK_THROWS_WITH_AS(read_png_text(std::vector<uint8_t>{1, 2, 3}, "x"), doctest::Contains("not a PNG"),
                       Error);
}
