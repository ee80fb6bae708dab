#include "core/image/jpeg_segments.h"

#include "core/error.h"

namespace dalle1 {
namespace {

constexpr int kEndOfImage = 0xd9, kStartOfScan = 0xda, kHuffmanTables = 0xc4;

bool is_restart(int marker) { return marker >= 0xd0 && marker <= 0xd7; }
/// Start of frame of any kind; c4, c8 and cc in that range are something else.
bool is_frame(int marker) {
  return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
}

class Walker {
 public:
  Walker(std::span<const uint8_t> bytes, std::string_view name) : bytes_(bytes), name_(name) {}

  JpegHeader walk() {
    for (int marker = next_marker(); marker != kEndOfImage; marker = next_marker()) {
      const std::span<const uint8_t> body = segment(marker);
      if (is_frame(marker)) read_frame(marker, body);
      if (marker == kHuffmanTables) check_huffman_tables(body);
      if (marker == kStartOfScan) {
        require(header_.components != 0, "a scan before the frame");
        skip_scan();
      }
    }
    require(header_.components != 0, "no frame");
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
    header_ = {body[3] << 8 | body[4], body[1] << 8 | body[2], body[5]};
    require(header_.width > 0 && header_.height > 0, "a frame without pixels");
    const bool known = header_.components == 1 || header_.components == 3 || header_.components == 4;
    require(known && body.size() == 6 + 3 * static_cast<size_t>(header_.components),
            "a frame of unknown components");
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
};

}  // namespace

bool is_jpeg(std::span<const uint8_t> bytes) {
  return bytes.size() >= 3 && bytes[0] == 0xff && bytes[1] == 0xd8 && bytes[2] == 0xff;
}

JpegHeader check_jpeg(std::span<const uint8_t> bytes, std::string_view name) {
  return Walker(bytes, name).walk();
}

}  // namespace dalle1
