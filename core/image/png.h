// Writing PNG files, and the text (metadata) that PNG files carry.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/image/image.h"

namespace dalle1 {

/// One piece of metadata. `keyword` is 1 to 79 printable Latin-1 characters, here restricted to ASCII; `text`
/// is UTF-8.
struct PngText {
  std::string keyword, text;
  bool operator==(const PngText&) const = default;
};

/// A PNG of 8-bit grey, RGB or RGBA; each text becomes an iTXt chunk in front of the pixels. No times, no
/// other chunks: equal input gives equal bytes. Error(input) for a keyword or text that PNG cannot hold.
std::vector<uint8_t> encode_png(const Image& image, std::span<const PngText> texts = {});

/// The same to a file that appears when it is complete. Error(output) when it cannot be written.
void write_png(const std::filesystem::path& path, const Image& image, std::span<const PngText> texts = {});

/// The text chunks of a PNG (iTXt, tEXt, zTXt) in file order, as UTF-8; what is not valid UTF-8 becomes
/// U+FFFD. At most 1,024 texts and 16 MiB of text in all are read. Error(input) naming `name` and the byte
/// for anything malformed. The content comes from the file: treat it as untrusted.
std::vector<PngText> read_png_text(std::span<const uint8_t> bytes, std::string_view name);
std::vector<PngText> read_png_text(const std::filesystem::path& path);

}  // namespace dalle1
