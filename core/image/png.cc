#include "core/image/png.h"

#include <zlib.h>

#include <algorithm>
#include <cstdlib>

#include "core/error.h"
#include "core/image/png_chunks.h"
#include "core/io/atomic_file.h"
#include "core/text/utf8.h"

namespace dalle1 {
namespace {

void append_u32(std::vector<uint8_t>& out, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<uint8_t>(value >> shift));
}

void append_chunk(std::vector<uint8_t>& out, std::string_view type, std::span<const uint8_t> data) {
  append_u32(out, static_cast<uint32_t>(data.size()));
  const size_t start = out.size();
  out.insert(out.end(), type.begin(), type.end());
  out.insert(out.end(), data.begin(), data.end());
  append_u32(out, static_cast<uint32_t>(crc32_z(0, &out[start], out.size() - start)));
}

uint8_t paeth(int left, int up, int corner) {
  const int estimate = left + up - corner;
  const int to_left = std::abs(estimate - left), to_up = std::abs(estimate - up),
            to_corner = std::abs(estimate - corner);
  if (to_left <= to_up && to_left <= to_corner) return static_cast<uint8_t>(left);
  return static_cast<uint8_t>(to_up <= to_corner ? up : corner);
}

/// Filters 0 to 4 of the PNG specification, section 9. `left` and `up` rows are zero outside of the picture.
void filter_row(int filter, std::span<const uint8_t> row, const uint8_t* up, size_t step, uint8_t* out) {
  for (size_t i = 0; i < row.size(); ++i) {
    const int left = i >= step ? row[i - step] : 0, corner = i >= step ? up[i - step] : 0;
    int predicted = 0;
    switch (filter) {
      case 1:
        predicted = left;
        break;
      case 2:
        predicted = up[i];
        break;
      case 3:
        predicted = (left + up[i]) / 2;
        break;
      case 4:
        predicted = paeth(left, up[i], corner);
        break;
    }
    out[i] = static_cast<uint8_t>(row[i] - predicted);
  }
}

/// Each row behind the number of the filter whose output has the smallest sum of absolute values.
std::vector<uint8_t> filtered_rows(const Image& image) {
  const size_t length = image.row_bytes();
  std::vector<uint8_t> out, candidate(length), best(length);
  out.reserve((length + 1) * image.height);
  const std::vector<uint8_t> zeros(length);
  for (int y = 0; y < image.height; ++y) {
    const uint8_t* up = y > 0 ? image.at(0, y - 1) : zeros.data();
    uint64_t best_sum = UINT64_MAX;
    uint8_t best_filter = 0;
    for (uint8_t filter = 0; filter < 5; ++filter) {
      filter_row(filter, {image.at(0, y), length}, up, image.channels, candidate.data());
      uint64_t sum = 0;
      for (uint8_t byte : candidate) sum += byte < 128 ? byte : 256 - byte;
      if (sum >= best_sum) continue;
      best_sum = sum;
      best_filter = filter;
      std::swap(best, candidate);
    }
    out.push_back(best_filter);
    out.insert(out.end(), best.begin(), best.end());
  }
  return out;
}

std::vector<uint8_t> deflate_all(std::span<const uint8_t> data) {
  uLongf length = compressBound(data.size());
  std::vector<uint8_t> packed(length);
  const int result = compress2(packed.data(), &length, data.data(), data.size(), 6);
  check(result == Z_OK, ErrorKind::memory, "png: {} bytes cannot be compressed: zlib says {}", data.size(),
        result);
  packed.resize(length);
  return packed;
}

std::vector<uint8_t> text_chunk(const PngText& entry) {
  const std::string& keyword = entry.keyword;
  const bool printable =
      std::all_of(keyword.begin(), keyword.end(), [](char c) { return c >= ' ' && c <= '~'; });
  check(printable && !keyword.empty() && keyword.size() <= 79 && keyword.front() != ' ' &&
            keyword.back() != ' ',
        ErrorKind::input, "png: '{}' cannot be a keyword: 1 to 79 printable ASCII characters are needed",
        keyword);
  check(entry.text.find('\0') == std::string::npos && entry.text.size() < (1u << 30), ErrorKind::input,
        "png: the text of '{}' has a zero byte or is too long", keyword);
  text::check_utf8(entry.text, fmt::format("png: the text of '{}'", keyword));
  std::vector<uint8_t> data(keyword.begin(), keyword.end());
  data.resize(data.size() +
              5);  // end of keyword, not compressed, method 0, no language, no translated keyword
  data.insert(data.end(), entry.text.begin(), entry.text.end());
  return data;
}

}  // namespace

std::vector<uint8_t> encode_png(const Image& image, std::span<const PngText> texts) {
  std::vector<uint8_t> out = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  std::vector<uint8_t> header;
  append_u32(header, static_cast<uint32_t>(image.width));
  append_u32(header, static_cast<uint32_t>(image.height));
  const uint8_t colour_type = image.channels == 1 ? 0 : image.channels == 3 ? 2 : 6;
  header.insert(header.end(), {8, colour_type, 0, 0, 0});
  append_chunk(out, "IHDR", header);
  for (const PngText& text : texts) append_chunk(out, "iTXt", text_chunk(text));
  append_chunk(out, "IDAT", deflate_all(filtered_rows(image)));
  append_chunk(out, "IEND", {});
  return out;
}

void write_png(const std::filesystem::path& path, const Image& image, std::span<const PngText> texts) {
  const std::vector<uint8_t> bytes = encode_png(image, texts);
  AtomicFile file(path);
  file.write(bytes.data(), bytes.size());
  file.commit();
}

}  // namespace dalle1
