// EXIF made by hand.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <vector>

namespace dalle1::test {

/// Appends a number of `size` bytes.
inline void put(std::vector<uint8_t>& out, uint32_t value, int size, bool little) {
  for (int i = 0; i < size; ++i)
    out.push_back(static_cast<uint8_t>(value >> 8 * (little ? i : size - 1 - i)));
}

/// A TIFF structure with another tag and then the orientation, as a number of `type`.
inline std::vector<uint8_t> tiff(bool little, uint32_t orientation, uint16_t type = 3) {
  const char order = little ? 'I' : 'M';
  std::vector<uint8_t> out(2, static_cast<uint8_t>(order));
  put(out, 42, 2, little);
  put(out, 8, 4, little);
  put(out, 2, 2, little);
  for (const uint32_t tag : {0x010fu, 0x0112u}) {
    const int size = type == 3 ? 2 : type == 4 ? 4 : 1;
    put(out, tag, 2, little);
    put(out, type, 2, little);
    put(out, 1, 4, little);
    put(out, tag == 0x0112u ? orientation : 3, size, little);
    out.resize(out.size() + static_cast<size_t>(4 - size));
  }
  put(out, 0, 4, little);
  return out;
}

/// A PNG with an eXIf chunk behind its header.
inline std::vector<uint8_t> with_exif(std::vector<uint8_t> png, const std::vector<uint8_t>& tiff) {
  std::vector<uint8_t> chunk{'e', 'X', 'I', 'f'};
  chunk.insert(chunk.end(), tiff.begin(), tiff.end());
  const auto crc = static_cast<uint32_t>(crc32(0, chunk.data(), static_cast<uInt>(chunk.size())));
  std::vector<uint8_t> whole;
  put(whole, static_cast<uint32_t>(tiff.size()), 4, false);
  whole.insert(whole.end(), chunk.begin(), chunk.end());
  put(whole, crc, 4, false);
  constexpr int header = 33;  // signature and IHDR
  png.insert(png.begin() + header, whole.begin(), whole.end());
  return png;
}

}  // namespace dalle1::test
