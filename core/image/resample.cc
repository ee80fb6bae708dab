#include "core/image/resample.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"

namespace dalle1 {
namespace {

// Weights are integers of 22 fraction bits: 8 bits of a sample and 2 for overshoot are left of 32.
constexpr int kPrecisionBits = 32 - 8 - 2;

/// For each target position the source positions [first, first + count) and their weights, which add up to
/// one.
struct Taps {
  std::vector<int> first, count;
  int stride = 0;               // weights per target
  std::vector<double> weights;  // [targets, stride]
};

double sinc(double x) { return x == 0.0 ? 1.0 : std::sin(x * M_PI) / (x * M_PI); }

double kernel(Filter filter, double x) {
  switch (filter) {
    case Filter::box:
      return x > -0.5 && x <= 0.5 ? 1.0 : 0.0;
    case Filter::bilinear:
      return std::max(0.0, 1.0 - std::abs(x));
    case Filter::bicubic: {
      constexpr double a = -0.5;  // Keys (1981), cubic convolution
      x = std::abs(x);
      if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
      return x < 2.0 ? (((x - 5) * x + 8) * x - 4) * a : 0.0;
    }
    case Filter::lanczos:
      return x >= -3.0 && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0;
    case Filter::nearest:
    case Filter::area:
      break;
  }
  fail(ErrorKind::internal, "resize: filter {} has no kernel", static_cast<int>(filter));
}

double support_of(Filter filter) {
  switch (filter) {
    case Filter::box:
      return 0.5;
    case Filter::bilinear:
      return 1.0;
    case Filter::bicubic:
      return 2.0;
    default:
      return 3.0;
  }
}

Taps make_taps(int source, int target, Filter filter) {
  const double scale = static_cast<double>(source) / target;
  const double stretch = std::max(scale, 1.0), support = support_of(filter) * stretch;
  Taps taps;
  taps.stride = static_cast<int>(std::ceil(support)) * 2 + 1;
  taps.weights.assign(static_cast<size_t>(target) * taps.stride, 0.0);
  for (int i = 0; i < target; ++i) {
    const double centre = (i + 0.5) * scale;
    const int first = std::max(0, static_cast<int>(centre - support + 0.5));
    const int count = std::min(source, static_cast<int>(centre + support + 0.5)) - first;
    double* weights = &taps.weights[static_cast<size_t>(i) * taps.stride];
    double sum = 0;
    for (int k = 0; k < count; ++k) {
      weights[k] = kernel(filter, (k + first - centre + 0.5) * (1.0 / stretch));
      sum += weights[k];
    }
    for (int k = 0; k < count && sum != 0.0; ++k) weights[k] /= sum;
    taps.first.push_back(first);
    taps.count.push_back(count);
  }
  return taps;
}

/// Target i covers [i, i + 1) * source / target.
Taps make_area_taps(int source, int target) {
  Taps taps;
  taps.stride = (source + target - 1) / target + 2;
  taps.weights.assign(static_cast<size_t>(target) * taps.stride, 0.0);
  for (int64_t i = 0; i < target; ++i) {
    // In units of 1 / target source pixels everything is an integer.
    const int64_t begin = i * source, end = begin + source;
    const auto first = static_cast<int>(begin / target), last = static_cast<int>((end - 1) / target);
    for (int64_t k = first; k <= last; ++k) {
      const int64_t covered = std::min((k + 1) * target, end) - std::max(k * target, begin);
      taps.weights[i * taps.stride + (k - first)] = static_cast<double>(covered) / source;
    }
    taps.first.push_back(first);
    taps.count.push_back(last - first + 1);
  }
  return taps;
}

/// Samples in Pillow's fixed point.
struct Fixed {
  using Sample = uint8_t;
  using Sum = int32_t;
  static constexpr Sum kStart = 1 << (kPrecisionBits - 1);
  static Sum weight(double w) { return static_cast<Sum>(w * (1 << kPrecisionBits) + (w < 0 ? -0.5 : 0.5)); }
  static Sample sample(Sum sum) { return static_cast<Sample>(std::clamp(sum >> kPrecisionBits, 0, 255)); }
};

/// Samples kept as floats between the passes.
struct Floating {
  using Sample = float;
  using Sum = float;
  static constexpr Sum kStart = 0;
  static Sum weight(double w) { return static_cast<Sum>(w); }
  static Sample sample(Sum sum) { return sum; }
};

template <typename Arithmetic>
std::vector<typename Arithmetic::Sum> to_weights(const Taps& taps) {
  std::vector<typename Arithmetic::Sum> weights(taps.weights.size());
  std::transform(taps.weights.begin(), taps.weights.end(), weights.begin(), Arithmetic::weight);
  return weights;
}

template <typename Sample>
struct Plane {
  int width, height, channels;
  std::vector<Sample> samples;  // [H, W, C]
};

template <typename Arithmetic>
void resample_rows(const Taps& taps, const Plane<typename Arithmetic::Sample>& in,
                   Plane<typename Arithmetic::Sample>& out) {
  using Sum = typename Arithmetic::Sum;
  const std::vector<Sum> weights = to_weights<Arithmetic>(taps);
  const int channels = in.channels;
  for (int y = 0; y < in.height; ++y) {
    const auto* row = &in.samples[static_cast<size_t>(y) * in.width * channels];
    auto* target = &out.samples[static_cast<size_t>(y) * out.width * channels];
    for (int x = 0; x < out.width; ++x, target += channels) {
      const Sum* weight = &weights[static_cast<size_t>(x) * taps.stride];
      Sum sums[4] = {Arithmetic::kStart, Arithmetic::kStart, Arithmetic::kStart, Arithmetic::kStart};
      const auto* source = row + static_cast<size_t>(taps.first[x]) * channels;
      for (int k = 0; k < taps.count[x]; ++k, source += channels) {
        for (int c = 0; c < channels; ++c) sums[c] += weight[k] * source[c];
      }
      for (int c = 0; c < channels; ++c) target[c] = Arithmetic::sample(sums[c]);
    }
  }
}

template <typename Arithmetic>
void resample_columns(const Taps& taps, const Plane<typename Arithmetic::Sample>& in,
                      Plane<typename Arithmetic::Sample>& out) {
  using Sum = typename Arithmetic::Sum;
  const std::vector<Sum> weights = to_weights<Arithmetic>(taps);
  const size_t row = static_cast<size_t>(in.width) * in.channels;
  std::vector<Sum> sums(row);
  for (int y = 0; y < out.height; ++y) {
    std::fill(sums.begin(), sums.end(), Arithmetic::kStart);
    for (int k = 0; k < taps.count[y]; ++k) {
      const Sum weight = weights[static_cast<size_t>(y) * taps.stride + k];
      const auto* source = &in.samples[(taps.first[y] + k) * row];
      for (size_t i = 0; i < row; ++i) sums[i] += weight * source[i];
    }
    std::transform(sums.begin(), sums.end(), &out.samples[y * row], Arithmetic::sample);
  }
}

/// Rows first, then columns; a side that keeps its length is left alone.
template <typename Arithmetic, typename MakeTaps>
Plane<typename Arithmetic::Sample> resample(Plane<typename Arithmetic::Sample> plane, int width, int height,
                                            const MakeTaps& make) {
  if (width != plane.width) {
    Plane<typename Arithmetic::Sample> out{width, plane.height, plane.channels, {}};
    out.samples.resize(static_cast<size_t>(width) * plane.height * plane.channels);
    resample_rows<Arithmetic>(make(plane.width, width), plane, out);
    plane = std::move(out);
  }
  if (height != plane.height) {
    Plane<typename Arithmetic::Sample> out{width, height, plane.channels, {}};
    out.samples.resize(static_cast<size_t>(width) * height * plane.channels);
    resample_columns<Arithmetic>(make(plane.height, height), plane, out);
    plane = std::move(out);
  }
  return plane;
}

std::vector<uint8_t> resample_area(const Image& image, int width, int height) {
  Plane<float> plane{image.width, image.height, image.channels, {image.pixels.begin(), image.pixels.end()}};
  plane = resample<Floating>(std::move(plane), width, height, make_area_taps);
  std::vector<uint8_t> pixels(plane.samples.size());
  std::transform(plane.samples.begin(), plane.samples.end(), pixels.begin(), [](float value) {
    return static_cast<uint8_t>(std::clamp(std::nearbyint(value), 0.0f, 255.0f));
  });
  return pixels;
}

Image resize_nearest(const Image& image, int width, int height) {
  const auto positions = [](int source, int target) {
    // Pillow adds the step up instead of multiplying; the last bit of the sum decides ties.
    const double step = static_cast<double>(source) / target;
    std::vector<int> chosen;
    for (double at = step * 0.5; static_cast<int>(chosen.size()) < target; at += step) {
      chosen.push_back(std::min(static_cast<int>(at), source - 1));
    }
    return chosen;
  };
  const std::vector<int> columns = positions(image.width, width), rows = positions(image.height, height);
  Image out(width, height, image.channels);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) std::copy_n(image.at(columns[x], rows[y]), image.channels, out.at(x, y));
  }
  return out;
}

Image multiply_alpha(Image image) {
  for (size_t i = 0; i < image.pixels.size(); i += 4) {
    const int alpha = image.pixels[i + 3];
    for (size_t c = i; c < i + 3; ++c) {
      const int product = image.pixels[c] * alpha + 128;  // divided by 255 with rounding
      image.pixels[c] = static_cast<uint8_t>(((product >> 8) + product) >> 8);
    }
  }
  return image;
}

Image divide_alpha(Image image) {
  for (size_t i = 0; i < image.pixels.size(); i += 4) {
    const int alpha = image.pixels[i + 3];
    if (alpha == 0 || alpha == 255) continue;
    for (size_t c = i; c < i + 3; ++c) {
      image.pixels[c] = static_cast<uint8_t>(std::min(255 * image.pixels[c] / alpha, 255));
    }
  }
  return image;
}

Image resize_channels(Image image, int width, int height, Filter filter) {
  Image out(width, height, image.channels);
  if (filter == Filter::area) {
    out.pixels = resample_area(image, width, height);
  } else {
    Plane<uint8_t> plane{image.width, image.height, image.channels, std::move(image.pixels)};
    const auto make = [filter](int source, int target) { return make_taps(source, target, filter); };
    out.pixels = resample<Fixed>(std::move(plane), width, height, make).samples;
  }
  return out;
}

}  // namespace

Image resize(const Image& image, int width, int height, Filter filter) {
  check(std::min(width, height) >= 1 && std::max(width, height) <= kMaxImageSide, ErrorKind::usage,
        "resize: {} x {} pixels asked for; each side must be in [1, {}]", width, height, kMaxImageSide);
  if (width == image.width && height == image.height) return image;
  Image out;
  if (filter == Filter::nearest) {
    out = resize_nearest(image, width, height);
  } else if (image.channels == 4) {
    out = divide_alpha(resize_channels(multiply_alpha(image), width, height, filter));
  } else {
    out = resize_channels(image, width, height, filter);
  }
  out.origin = image.origin;
  return out;
}

Filter filter_as_pillow(const Image& image, Filter wanted) {
  return image.origin == PixelOrigin::indexed ? Filter::nearest : wanted;
}

Image resize_shorter_side(const Image& image, int size, Filter filter, SideRounding rounding) {
  check(size >= 1 && size <= kMaxImageSide, ErrorKind::usage,
        "resize: shorter side {}; it must be in [1, {}]", size, kMaxImageSide);
  const int shorter = std::min(image.width, image.height), longer = std::max(image.width, image.height);
  const int64_t whole = int64_t{size} * longer / shorter;
  const double ratio = static_cast<double>(size) / shorter;
  const auto other = rounding == SideRounding::truncate ? whole : std::lrint(ratio * longer);
  const int clipped =
      static_cast<int>(std::min<int64_t>(other, kMaxImageSide + 1));  // refused below, by name
  return image.width <= image.height ? resize(image, size, clipped, filter)
                                     : resize(image, clipped, size, filter);
}

Image crop_centre(const Image& image, int size) {
  const auto offset = [size](int side) { return static_cast<int>(std::lrint((side - size) / 2.0)); };
  return crop(image, offset(image.width), offset(image.height), size, size);
}

Image fit_square(const Image& image, int size, Filter filter) {
  const int shorter = std::min(image.width, image.height), longer = std::max(image.width, image.height);
  if (longer / shorter > 32) {
    // Of a very long strip only the middle matters: the square and, on both sides, more than any filter
    // reaches.
    const int cut = (longer - 9 * shorter) / 2;
    const bool wide = image.width > image.height;
    return fit_square(wide ? crop(image, cut, 0, longer - 2 * cut, shorter)
                           : crop(image, 0, cut, shorter, longer - 2 * cut),
                      size, filter);
  }
  return crop_centre(resize_shorter_side(image, size, filter, SideRounding::round_half_even), size);
}

}  // namespace dalle1
