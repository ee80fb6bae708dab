// stb_image with only its PNG and JPEG decoders, behind checks of the header and a limit on its memory.
#include <algorithm>
#include <cstdlib>
#include <memory>

#include "core/error.h"
#include "core/image/exif.h"
#include "core/image/image.h"
#include "core/image/jpeg_segments.h"
#include "core/image/png_chunks.h"
#include "core/io/file_bytes.h"
#include "core/io/file_kind.h"

namespace {

// stb_image inflates as much as a stream yields, so a small file could ask for gigabytes: no single
// allocation may exceed what a picture of the size in the header needs.
thread_local size_t allocation_limit = 0;

void* limited_malloc(size_t size) { return size <= allocation_limit ? std::malloc(size) : nullptr; }
void* limited_realloc(void* pointer, size_t size) {
  return size <= allocation_limit ? std::realloc(pointer, size) : nullptr;
}

}  // namespace

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_NO_STDIO
#define STBI_MAX_DIMENSIONS 16384
#define STBI_MALLOC limited_malloc
#define STBI_REALLOC limited_realloc
#define STBI_FREE std::free
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb_image.h>
#pragma GCC diagnostic pop

namespace dalle1 {
namespace {

static_assert(STBI_MAX_DIMENSIONS == kMaxImageSide);

struct Header {
  int64_t width = 0, height = 0;
  int channels = 0;
  PixelOrigin origin = PixelOrigin::direct;
  int orientation = 1;  // see exif_orientation
};

Header png_header(std::span<const uint8_t> bytes, std::string_view name) {
  const PngHeader png = read_png_header(bytes, name);
  const bool alpha = (png.colour_type & 4) != 0, palette = png.colour_type == 3;
  Header header{png.width, png.height};
  bool transparent_entries = false;
  for_each_png_chunk(bytes, name, [&](const PngChunk& chunk) {
    const std::string_view type = chunk.type;
    transparent_entries |= palette && type == "tRNS";
    if (type == "eXIf") header.orientation = exif_orientation(chunk.data);
  });
  // A transparent colour of a grey or RGB picture is not an alpha channel; Pillow drops it on conversion too.
  header.channels = alpha || transparent_entries ? 4 : palette || png.colour_type == 2 ? 3 : 1;
  if (alpha) header.origin = PixelOrigin::alpha;
  if (palette || (png.colour_type == 0 && png.bit_depth == 1)) header.origin = PixelOrigin::indexed;
  return header;
}

/// Also gives `bytes` the form in which their colours cannot be misread.
Header jpeg_header(std::span<const uint8_t>& bytes, std::vector<uint8_t>& copy, std::string_view name) {
  const JpegHeader jpeg = check_jpeg(bytes, name);
  if (jpeg.components > 1) bytes = copy = with_colour_marker(bytes, jpeg);
  return {jpeg.width, jpeg.height, jpeg.components == 1 ? 1 : 3, PixelOrigin::direct,
          exif_orientation(jpeg.exif)};
}

}  // namespace

Image decode_image(std::span<const uint8_t> bytes, std::string_view name) {
  check(bytes.size() <= kMaxImageFileBytes, ErrorKind::input,
        "{}: a picture file of {} bytes; at most {} are read", name, bytes.size(), kMaxImageFileBytes);
  const bool png = is_png(bytes);
  check(png || is_jpeg(bytes), ErrorKind::input, "{}: not a PNG or JPEG picture{}", name, but_it_is(bytes));
  std::vector<uint8_t> copy;
  const Header header = png ? png_header(bytes, name) : jpeg_header(bytes, copy, name);
  check(std::max(header.width, header.height) <= kMaxImageSide &&
            header.width * header.height <= kMaxImagePixels,
        ErrorKind::input, "{}: {} x {} pixels; at most {} a side and {} megapixels are read", name,
        header.width, header.height, kMaxImageSide, kMaxImagePixels >> 20);

  // At most four 16-bit samples a pixel, twice that while a buffer grows, and tables.
  allocation_limit = static_cast<size_t>(header.width + 64) * (header.height + 64) * 16 + (1 << 20);
  int width = 0, height = 0, stored_channels = 0;
  const std::unique_ptr<uint8_t, decltype(&std::free)> decoded(
      stbi_load_from_memory(bytes.data(), static_cast<int>(bytes.size()), &width, &height, &stored_channels,
                            header.channels),
      &std::free);
  check(decoded != nullptr, ErrorKind::input, "{}: truncated or damaged {}: {}", name, png ? "PNG" : "JPEG",
        stbi_failure_reason());
  check(width == header.width && height == header.height, ErrorKind::input,
        "{}: two different sizes in one picture", name);
  Image image(width, height, header.channels);
  std::copy_n(decoded.get(), image.pixels.size(), image.pixels.begin());
  image.origin = header.origin;
  return oriented(std::move(image), header.orientation);
}

Image read_image(const std::filesystem::path& path) {
  return decode_image(read_file(path, kMaxImageFileBytes), path.string());
}

}  // namespace dalle1
