#include "core/image/exif.h"

#include <algorithm>
#include <optional>

namespace dalle1 {
namespace {

constexpr uint16_t kOrientation = 0x0112;
constexpr uint16_t kByte = 1, kShort = 3, kLong = 4;  // types of a field

/// Numbers of a TIFF structure in its byte order; nothing beyond its end.
class Tiff {
 public:
  explicit Tiff(std::span<const uint8_t> bytes) : bytes_(bytes) {
    little_ = bytes.size() >= 2 && bytes[0] == 'I' && bytes[1] == 'I';
    known_ = little_ || (bytes.size() >= 2 && bytes[0] == 'M' && bytes[1] == 'M');
  }

  std::optional<uint32_t> number(uint64_t at, size_t size) const {
    if (!known_ || at > bytes_.size() || size > bytes_.size() - at) return {};
    uint32_t value = 0;
    for (size_t i = 0; i < size; ++i) value = value << 8 | bytes_[at + (little_ ? size - 1 - i : i)];
    return value;
  }

  /// The value of the first directory's entry `tag`, if it is one whole number.
  std::optional<uint32_t> entry(uint16_t tag) const {
    const auto magic = number(2, 2), directory = number(4, 4);
    if (magic != 42u || !directory) return {};
    const uint32_t count = number(*directory, 2).value_or(0);
    for (uint32_t i = 0; i < count; ++i) {
      const uint64_t at = uint64_t{*directory} + 2 + 12 * uint64_t{i};
      const auto found = number(at, 2), type = number(at + 2, 2);
      if (!found) return {};
      if (found != tag) continue;
      const size_t size = type == kByte ? 1 : type == kShort ? 2 : type == kLong ? 4 : 0;
      return size > 0 && number(at + 4, 4) == 1u ? number(at + 8, size) : std::nullopt;
    }
    return {};
  }

 private:
  std::span<const uint8_t> bytes_;
  bool little_ = false, known_ = false;
};

}  // namespace

int exif_orientation(std::span<const uint8_t> tiff) {
  const uint32_t value = Tiff(tiff).entry(kOrientation).value_or(1);
  return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
}

Image oriented(Image stored, int orientation) {
  if (orientation == 1) return stored;
  const bool transposed = orientation >= 5;
  // Which ends of the stored rows and columns come first.
  const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool from_below = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Image out(transposed ? stored.height : stored.width, transposed ? stored.width : stored.height,
            stored.channels);
  out.origin = stored.origin;
  for (int y = 0; y < out.height; ++y) {
    for (int x = 0; x < out.width; ++x) {
      const int column = transposed ? y : x, row = transposed ? x : y;
      std::copy_n(stored.at(from_right ? stored.width - 1 - column : column,
                            from_below ? stored.height - 1 - row : row),
                  stored.channels, out.at(x, y));
    }
  }
  return out;
}

}  // namespace dalle1
