// SHA-256 (FIPS 180-4), to name files by their content.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace dalle1::weights {

class Sha256 {
 public:
  void update(std::span<const std::byte> bytes);
  /// The digest as 64 lower-case hexadecimal digits. Call once, last.
  std::string hex();

 private:
  void blocks(const std::byte* data, size_t count);

  std::array<uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::byte, 64> tail_{};
  size_t tail_size_ = 0;
  uint64_t total_ = 0;
};

std::string sha256(std::span<const std::byte> bytes);
std::string sha256_of_file(const std::filesystem::path& path);

}  // namespace dalle1::weights
