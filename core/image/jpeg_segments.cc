#include "core/image/jpeg_segments.h"

#include <algorithm>
#include <optional>

#include "core/error.h"

namespace dalle1 {
namespace {

constexpr int kEndOfImage = 0xd9, kStartOfScan = 0xda, kHuffmanTables = 0xc4;
constexpr int kApp0 = 0xe0, kApp1 = 0xe1, kApp14 = 0xee;

bool is_restart(int marker) { return marker >= 0xd0 && marker <= 0xd7; }
/// Start of frame of any kind; c4, c8 and cc in that range are something else.
bool is_frame(int marker) {
  return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
}

bool begins_with(std::span<const uint8_t> body, std::string_view tag) {
  return body.size() >= tag.size() && std::equal(tag.begin(), tag.end(), body.begin());
}

class Walker {
 public:
  Walker(std::span<const uint8_t> bytes, std::string_view name) : bytes_(bytes), name_(name) {}

  JpegHeader walk() {
    for (int marker = next_marker(); marker != kEndOfImage; marker = next_marker()) {
      const std::span<const uint8_t> body = segment(marker);
      if (is_frame(marker)) read_frame(marker, body);
      if (marker == kHuffmanTables) check_huffman_tables(body);
      if (header_.first_scan == 0) read_application_data(marker, body);
      if (marker == kStartOfScan) {
        require(header_.components != 0, "a scan before the frame");
        if (header_.first_scan == 0)
          header_.first_scan = static_cast<size_t>(body.data() - bytes_.data()) - 4;
        skip_scan();
      }
    }
    require(header_.components != 0 && header_.first_scan != 0, "no frame or no scan");
    header_.colour = colour();
    return header_;
  }

 private:
  void require(bool condition, std::string_view what) const {
    check(condition, ErrorKind::input, "{}: damaged JPEG near byte {}: {}", name_, position_, what);
  }
  int byte() {
    check(position_ < bytes_.size(), ErrorKind::input,
          "{}: truncated JPEG: ends at byte {}, before its end marker", name_, bytes_.size());
    return bytes_[position_++];
  }
  /// Some writers pad between segments; whatever is not a marker there is passed over.
  int next_marker() {
    while (byte() != 0xff) {
    }
    int marker = byte();
    while (marker == 0xff) marker = byte();
    require(marker != 0 && !is_restart(marker), "not a marker");
    return marker;
  }
  std::span<const uint8_t> segment(int marker) {
    const int high = byte(), length = high << 8 | byte();
    require(length >= 2, "a segment without length");
    const size_t size = static_cast<size_t>(length) - 2;
    check(size <= bytes_.size() - position_, ErrorKind::input,
          "{}: truncated JPEG: segment {:02x} at byte {} says {} bytes, the file ends at byte {}", name_,
          marker, position_ - 4, length, bytes_.size());
    position_ += size;
    return bytes_.subspan(position_ - size, size);
  }
  void read_frame(int marker, std::span<const uint8_t> body) {
    require(header_.components == 0, "a second frame");
    require(marker <= 0xc2, "lossless, hierarchical or arithmetic-coded JPEG, which is not read");
    require(body.size() >= 6 && body[0] == 8, "a frame without 8-bit samples");
    header_.width = body[3] << 8 | body[4];
    header_.height = body[1] << 8 | body[2];
    header_.components = body[5];
    require(header_.width > 0 && header_.height > 0, "a frame without pixels");
    const bool known = header_.components == 1 || header_.components == 3 || header_.components == 4;
    require(known && body.size() == 6 + 3 * static_cast<size_t>(header_.components),
            "a frame of unknown components");
    named_rgb_ = header_.components == 3 && body[6] == 'R' && body[9] == 'G' && body[12] == 'B';
  }
  void read_application_data(int marker, std::span<const uint8_t> body) {
    constexpr std::string_view jfif("JFIF\0", 5), exif("Exif\0\0", 6), adobe = "Adobe";
    if (marker == kApp0 && begins_with(body, jfif)) jfif_ = true;
    if (marker == kApp1 && begins_with(body, exif) && header_.exif.empty())
      header_.exif = body.subspan(exif.size());
    if (marker == kApp14 && begins_with(body, adobe) && body.size() >= 12) adobe_transform_ = body[11];
  }
  JpegColour colour() const {
    if (header_.components == 4)
      return adobe_transform_.value_or(0) == 0 ? JpegColour::direct : JpegColour::ycck;
    if (jfif_) return JpegColour::ycc;
    return adobe_transform_ ? (*adobe_transform_ == 0 ? JpegColour::direct : JpegColour::ycc)
                            : (named_rgb_ ? JpegColour::direct : JpegColour::ycc);
  }
  /// Decoders keep 256 codes a table; each length l has room for 2^l codes less those that shorter ones use
  /// up.
  void check_huffman_tables(std::span<const uint8_t> body) const {
    while (!body.empty()) {
      require(body.size() >= 17, "a Huffman table that ends early");
      int codes = 0, room = 1;
      for (int length = 1; length <= 16; ++length) {
        codes += body[length];
        room = 2 * room - body[length];
        require(room >= 0, "a Huffman table with more codes than there can be");
      }
      require(codes <= 256 && body.size() >= 17 + static_cast<size_t>(codes),
              "a Huffman table of too many codes");
      body = body.subspan(17 + static_cast<size_t>(codes));
    }
  }
  /// Entropy-coded data ends at the first marker that is neither a stuffed zero nor a restart.
  void skip_scan() {
    while (true) {
      while (byte() != 0xff) {
      }
      size_t marker_start = position_ - 1;
      int marker = byte();
      while (marker == 0xff) {
        marker_start = position_ - 1;
        marker = byte();
      }
      if (marker == 0 || is_restart(marker)) continue;
      position_ = marker_start;
      return;
    }
  }

  std::span<const uint8_t> bytes_;
  std::string_view name_;
  size_t position_ = 2;  // after the start of image
  JpegHeader header_;
  bool jfif_ = false, named_rgb_ = false;
  std::optional<uint8_t> adobe_transform_;
};

}  // namespace

bool is_jpeg(std::span<const uint8_t> bytes) {
  return bytes.size() >= 3 && bytes[0] == 0xff && bytes[1] == 0xd8 && bytes[2] == 0xff;
}

JpegHeader check_jpeg(std::span<const uint8_t> bytes, std::string_view name) {
  return Walker(bytes, name).walk();
}

std::vector<uint8_t> with_colour_marker(std::span<const uint8_t> bytes, const JpegHeader& header) {
  const auto transform = static_cast<uint8_t>(header.colour);
  const uint8_t marker[] = {0xff, kApp14, 0, 14, 'A', 'd', 'o', 'b', 'e', 0, 100, 0, 0, 0, 0, transform};
  std::vector<uint8_t> out;
  out.reserve(bytes.size() + std::size(marker));
  const auto scan = bytes.begin() + static_cast<std::ptrdiff_t>(header.first_scan);
  out.insert(out.end(), bytes.begin(), scan);
  out.insert(out.end(), std::begin(marker), std::end(marker));
  out.insert(out.end(), scan, bytes.end());
  return out;
}

}  // namespace dalle1
