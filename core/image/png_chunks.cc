#include "core/image/png_chunks.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "core/error.h"

namespace dalle1 {
namespace {

constexpr std::array<uint8_t, 8> kSignature = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
constexpr size_t kChunkFrame = 12;  // length, type, CRC

uint32_t big_endian(const uint8_t* p) {
  return uint32_t{p[0]} << 24 | uint32_t{p[1]} << 16 | uint32_t{p[2]} << 8 | p[3];
}

PngChunk chunk_at(std::span<const uint8_t> bytes, size_t offset, std::string_view name) {
  check(bytes.size() - offset >= kChunkFrame, ErrorKind::input,
        "{}: truncated PNG: ends at byte {}, before IEND", name, bytes.size());
  const uint8_t* start = bytes.data() + offset;
  PngChunk chunk;
  std::memcpy(chunk.type, start + 4, 4);
  chunk.offset = offset;
  for (char c : std::string_view(chunk.type, 4)) {
    check((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'), ErrorKind::input,
          "{}: damaged PNG: no chunk name at byte {}", name, offset + 4);
  }
  const uint64_t length = big_endian(start);
  check(length <= bytes.size() - offset - kChunkFrame, ErrorKind::input,
        "{}: truncated PNG: chunk {} at byte {} says {} bytes, the file ends at byte {}", name, chunk.type,
        offset, length, bytes.size());
  chunk.data = {start + 8, static_cast<size_t>(length)};
  const auto crc = static_cast<uint32_t>(crc32(0, start + 4, static_cast<uInt>(length + 4)));
  check(crc == big_endian(start + 8 + length), ErrorKind::input,
        "{}: damaged PNG: wrong checksum of chunk {} at byte {}", name, chunk.type, offset);
  return chunk;
}

bool depth_fits(int colour_type, int depth) {
  switch (colour_type) {
    case 0:
      return depth == 1 || depth == 2 || depth == 4 || depth == 8 || depth == 16;
    case 3:
      return depth == 1 || depth == 2 || depth == 4 || depth == 8;
    case 2:
    case 4:
    case 6:
      return depth == 8 || depth == 16;
    default:
      return false;
  }
}

}  // namespace

bool is_png(std::span<const uint8_t> bytes) {
  return bytes.size() >= kSignature.size() && std::equal(kSignature.begin(), kSignature.end(), bytes.begin());
}

void for_each_png_chunk(std::span<const uint8_t> bytes, std::string_view name,
                        const std::function<void(const PngChunk&)>& visit) {
  check(is_png(bytes), ErrorKind::input, "{}: not a PNG picture", name);
  size_t offset = kSignature.size();
  std::string_view expected = "IHDR";
  for (bool ended = false; !ended;) {
    const PngChunk chunk = chunk_at(bytes, offset, name);
    check(expected.empty() || expected == chunk.type, ErrorKind::input,
          "{}: damaged PNG: begins with chunk {}, not IHDR", name, chunk.type);
    expected = {};
    visit(chunk);
    ended = std::string_view(chunk.type) == "IEND";
    offset += kChunkFrame + chunk.data.size();
  }
}

PngHeader read_png_header(std::span<const uint8_t> bytes, std::string_view name) {
  check(is_png(bytes), ErrorKind::input, "{}: not a PNG picture", name);
  const PngChunk chunk = chunk_at(bytes, kSignature.size(), name);
  check(std::string_view(chunk.type) == "IHDR" && chunk.data.size() == 13, ErrorKind::input,
        "{}: damaged PNG: no valid IHDR chunk at byte {}", name, chunk.offset);
  const uint8_t* data = chunk.data.data();
  const PngHeader header{big_endian(data), big_endian(data + 4), data[8], data[9]};
  check(header.width > 0 && header.height > 0 && depth_fits(header.colour_type, header.bit_depth),
        ErrorKind::input, "{}: damaged PNG: {} x {} pixels, colour type {}, bit depth {}", name, header.width,
        header.height, header.colour_type, header.bit_depth);
  return header;
}

}  // namespace dalle1
