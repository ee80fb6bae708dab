// The segment structure of JPEG files, checked before a decoder sees them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace dalle1 {

struct JpegHeader {
  int width = 0, height = 0;  ///< pixels, at least 1
  int components = 0;         ///< 1 grey, 3 colour, 4 CMYK
};

bool is_jpeg(std::span<const uint8_t> bytes);

/// Walks all segments up to the end marker (ITU-T T.81, annex B). Error(input) naming `name` and the byte for
/// a segment that does not fit, a Huffman table that cannot be, no frame or two, a kind of
/// JPEG other than baseline, extended and progressive Huffman with 8 bits, or an end before the end marker.
JpegHeader check_jpeg(std::span<const uint8_t> bytes, std::string_view name);

}  // namespace dalle1
