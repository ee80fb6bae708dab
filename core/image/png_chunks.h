// The chunk structure of PNG files, shared by the reader of pictures and the reader of their text.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

namespace dalle1 {

bool is_png(std::span<const uint8_t> bytes);

struct PngChunk {
  char type[5] = {};              ///< "IHDR", ...
  std::span<const uint8_t> data;  ///< length as stored
  size_t offset = 0;              ///< of the chunk's length field in the file
};

/// Calls `visit` for each chunk up to and with IEND, whose presence it demands. Error(input) naming `name`
/// and the byte: no signature, a first chunk other than IHDR, a chunk that reaches past the end, a wrong CRC.
void for_each_png_chunk(std::span<const uint8_t> bytes, std::string_view name,
                        const std::function<void(const PngChunk&)>& visit);

struct PngHeader {
  uint32_t width = 0, height = 0;
  int bit_depth = 0;    ///< 1, 2, 4, 8, 16
  int colour_type = 0;  ///< 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA
};

/// The IHDR chunk, without looking at the rest of the file. Error(input) when it is not there or not valid.
PngHeader read_png_header(std::span<const uint8_t> bytes, std::string_view name);

}  // namespace dalle1
