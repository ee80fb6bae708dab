// Compressed files where plain ones are read.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace dalle1 {

/// Error(input) "NAME: compressed with gzip; gunzip it" when the first bytes of a file are those of gzip,
/// Zstandard, bzip2, xz or LZ4.
void refuse_compressed(std::span<const uint8_t> first_bytes, std::string_view name);

}  // namespace dalle1
