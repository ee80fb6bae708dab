// Files that are something else where data is read.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace dalle1 {

/// Error(input) "NAME: compressed with gzip; gunzip it" when the first bytes of a file are those of gzip,
/// Zstandard, bzip2, xz or LZ4; "NAME: no data, but a Git LFS pointer (...)" or another file_kind() that
/// holds none.
void refuse_no_data(std::span<const uint8_t> first_bytes, std::string_view name);

}  // namespace dalle1
