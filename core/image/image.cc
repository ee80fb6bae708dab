#include "core/image/image.h"

#include <algorithm>

#include "core/error.h"

namespace dalle1 {

Image::Image(int width, int height, int channels, uint8_t value)
    : width(width), height(height), channels(channels) {
  check(width > 0 && height > 0 && (channels == 1 || channels == 3 || channels == 4), ErrorKind::internal,
        "image: no such size: {} x {} with {} channels", width, height, channels);
  pixels.assign(static_cast<size_t>(width) * height * channels, value);
}

Image to_rgb(const Image& image) {
  if (image.channels == 3) {
    Image same = image;
    same.origin = PixelOrigin::direct;
    return same;
  }
  Image rgb(image.width, image.height, 3);
  const uint8_t* from = image.pixels.data();
  const int step = image.channels, green = step == 1 ? 0 : 1, blue = step == 1 ? 0 : 2;
  for (size_t i = 0; i < rgb.pixels.size(); i += 3, from += step) {
    rgb.pixels[i] = from[0];
    rgb.pixels[i + 1] = from[green];
    rgb.pixels[i + 2] = from[blue];
  }
  return rgb;
}

bool is_constant(const Image& image) {
  const auto channels = static_cast<size_t>(image.channels);
  std::vector<uint8_t> low(channels, 255), high(channels, 0);
  for (size_t i = 0; i < image.pixels.size(); ++i) {
    const size_t channel = i % channels;
    low[channel] = std::min(low[channel], image.pixels[i]);
    high[channel] = std::max(high[channel], image.pixels[i]);
    if (high[channel] - low[channel] > 1) return false;
  }
  return true;
}

Image crop(const Image& image, int x, int y, int width, int height) {
  check(x >= 0 && y >= 0 && width > 0 && height > 0 && width <= image.width - x && height <= image.height - y,
        ErrorKind::usage, "crop: {} x {} pixels at ({}, {}) are not inside a picture of {} x {}", width,
        height, x, y, image.width, image.height);
  Image part(width, height, image.channels);
  part.origin = image.origin;
  for (int row = 0; row < height; ++row) std::copy_n(image.at(x, y + row), part.row_bytes(), part.at(0, row));
  return part;
}

Image flip_horizontal(const Image& image) {
  Image flipped = image;
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x)
      std::copy_n(image.at(x, y), image.channels, flipped.at(image.width - 1 - x, y));
  }
  return flipped;
}

}  // namespace dalle1
