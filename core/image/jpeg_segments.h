// The segment structure of JPEG files, checked before a decoder sees them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace dalle1 {

/// How the components are to be read, by the numbers of Adobe's marker: RGB or CMYK, YCbCr, YCCK.
enum class JpegColour : uint8_t { direct = 0, ycc = 1, ycck = 2 };

struct JpegHeader {
  int width = 0, height = 0;  ///< pixels, at least 1
  int components = 0;         ///< 1 grey, 3 colour, 4 CMYK
  /// By libjpeg's rules: JFIF means YCbCr; else Adobe's marker says it; else components called R, G and B are
  /// these, and four are CMYK. CMYK is stored inverted, as Adobe does and Pillow expects of all files.
  JpegColour colour = JpegColour::ycc;
  std::span<const uint8_t> exif;  ///< The first EXIF segment's TIFF structure, or nothing.
  size_t first_scan = 0;          ///< Offset of its marker.
};

bool is_jpeg(std::span<const uint8_t> bytes);

/// Walks all segments up to the end marker (ITU-T T.81, annex B). Error(input) naming `name` and the byte for
/// a segment that does not fit, a Huffman table that cannot be, no frame or two, a kind of
/// JPEG other than baseline, extended and progressive Huffman with 8 bits, or an end before the end marker.
JpegHeader check_jpeg(std::span<const uint8_t> bytes, std::string_view name);

/// The file with header.colour said by an Adobe marker before the first scan: decoders differ in what they
/// make of files that lack one or whose markers disagree.
std::vector<uint8_t> with_colour_marker(std::span<const uint8_t> bytes, const JpegHeader& header);

}  // namespace dalle1
