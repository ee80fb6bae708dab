// A whole file in memory, with a limit that is checked before anything is allocated.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace dalle1 {

/// The bytes of a regular file. Error(input) that names the file when it cannot be read, is not a regular
/// file (see InputFile) or holds more than `limit` bytes.
std::vector<uint8_t> read_file(const std::filesystem::path& path, uint64_t limit);

}  // namespace dalle1
