// 8-bit pictures in memory, and reading them from PNG and JPEG files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

namespace dalle1 {

/// Limits on what is decoded; all are checked before any pixel is.
inline constexpr int kMaxImageSide = 16384;
inline constexpr int64_t kMaxImagePixels = int64_t{64} << 20;  // 8192 x 8192
inline constexpr uint64_t kMaxImageFileBytes = 50'000'000;

/// How the file stored its pixels. Pillow, and with it CLIP's preprocessing, resizes `indexed` pictures (a
/// palette, or grey of one bit) by nearest neighbour, and `alpha` ones with colours multiplied by alpha; see
/// resample_filter_for.
enum class PixelOrigin : uint8_t { direct, indexed, alpha };

struct Image {
  int width = 0, height = 0;
  int channels = 0;             ///< 1 grey, 3 RGB, 4 RGBA (alpha not multiplied in)
  std::vector<uint8_t> pixels;  ///< [H, W, C] row-major, 0..255, sRGB as stored
  PixelOrigin origin = PixelOrigin::direct;

  Image() = default;
  /// All pixels set to `value`. The size must be positive and `channels` one of 1, 3, 4: Error(internal).
  Image(int width, int height, int channels, uint8_t value = 0);

  uint8_t* at(int x, int y) { return pixels.data() + offset(x, y); }  ///< [C]
  const uint8_t* at(int x, int y) const { return pixels.data() + offset(x, y); }
  size_t row_bytes() const { return static_cast<size_t>(width) * channels; }

 private:
  size_t offset(int x, int y) const { return (static_cast<size_t>(y) * width + x) * channels; }
};

/// Decodes a PNG or JPEG file. Palettes are expanded, grey with alpha becomes RGBA, 16-bit samples keep their
/// high byte (as Pillow does for colour), CMYK becomes RGB; the picture is turned as its EXIF orientation
/// says (as Pillow's ImageOps.exif_transpose does). Error(input) with one line that names the file: not a PNG
/// or JPEG, over the limits, truncated, damaged.
Image read_image(const std::filesystem::path& path);
/// The same from memory; `name` is what errors call it.
Image decode_image(std::span<const uint8_t> bytes, std::string_view name);

/// As PIL's convert("RGB"): grey is replicated, alpha is dropped without blending. origin becomes `direct`.
Image to_rgb(const Image& image);

/// One colour, give or take one level: what a model draws that has nothing to say.
bool is_constant(const Image& image);

/// The part [x, x + width) x [y, y + height); it must lie inside the picture: Error(usage).
Image crop(const Image& image, int x, int y, int width, int height);
Image flip_horizontal(const Image& image);

}  // namespace dalle1
