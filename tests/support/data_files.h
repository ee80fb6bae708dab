// Small training data: pictures, texts and tar files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace dalle1::test {

/// A grey PNG of 2 x 2 pixels.
std::string png_of(uint8_t value);

/// Makes the folder, too.
void write_text(const std::filesystem::path& path, const std::string& content);

/// Names and contents; a name that ends in '/' is a folder, one that ends in '@' a link to what follows.
using Members = std::vector<std::pair<std::string, std::string>>;

enum class TarFormat { ustar, pax, gnu };
void write_tar(const std::filesystem::path& path, const Members& members,
               TarFormat format = TarFormat::ustar);

/// "red" as UTF-16, little endian, with a byte order mark.
std::string utf16(const std::string& ascii);

}  // namespace dalle1::test
