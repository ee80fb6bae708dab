#include "core/image/resample.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "core/error.h"

namespace dalle1 {
namespace {

// Weights are integers of 22 fraction bits: 8 bits of a sample and 2 for overshoot are left of 32.
constexpr int kPrecisionBits = 32 - 8 - 2;

/// The part [begin, begin + count) of an axis that is resized from `source` to `target` pixels.
struct AxisWindow {
  int source, target, begin, count;
  bool keeps_length() const { return source == target; }
};

/// For each position of a window the source positions [first, first + count) and their weights, which add up
/// to one.
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

Taps make_taps(const AxisWindow& axis, Filter filter) {
  const double scale = static_cast<double>(axis.source) / axis.target;
  const double stretch = std::max(scale, 1.0), support = support_of(filter) * stretch;
  Taps taps;
  taps.stride = static_cast<int>(std::ceil(support)) * 2 + 1;
  taps.weights.assign(static_cast<size_t>(axis.count) * taps.stride, 0.0);
  for (int i = 0; i < axis.count; ++i) {
    const double centre = (axis.begin + i + 0.5) * scale;
    const int first = std::max(0, static_cast<int>(centre - support + 0.5));
    const int count = std::min(axis.source, static_cast<int>(centre + support + 0.5)) - first;
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
Taps make_area_taps(const AxisWindow& axis) {
  const int64_t source = axis.source, target = axis.target;
  Taps taps;
  taps.stride = static_cast<int>((source + target - 1) / target + 2);
  taps.weights.assign(static_cast<size_t>(axis.count) * taps.stride, 0.0);
  for (int64_t i = 0; i < axis.count; ++i) {
    // In units of 1 / target source pixels everything is an integer.
    const int64_t begin = (axis.begin + i) * source, end = begin + source;
    const auto first = static_cast<int>(begin / target), last = static_cast<int>((end - 1) / target);
    for (int64_t k = first; k <= last; ++k) {
      const int64_t covered = std::min((k + 1) * target, end) - std::max(k * target, begin);
      taps.weights[i * taps.stride + (k - first)] =
          static_cast<double>(covered) / static_cast<double>(source);
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

/// Rows first, then columns; a side that keeps its length is only cut.
template <typename Arithmetic>
Plane<typename Arithmetic::Sample> resample(Plane<typename Arithmetic::Sample> plane, const Taps* columns,
                                            const Taps* rows) {
  using Samples = Plane<typename Arithmetic::Sample>;
  const auto blank = [](int width, int height, int channels) {
    Samples out{width, height, channels, {}};
    out.samples.resize(static_cast<size_t>(width) * height * channels);
    return out;
  };
  if (columns) {
    Samples out = blank(static_cast<int>(columns->first.size()), plane.height, plane.channels);
    resample_rows<Arithmetic>(*columns, plane, out);
    plane = std::move(out);
  }
  if (rows) {
    Samples out = blank(plane.width, static_cast<int>(rows->first.size()), plane.channels);
    resample_columns<Arithmetic>(*rows, plane, out);
    plane = std::move(out);
  }
  return plane;
}

std::vector<int> nearest_positions(const AxisWindow& axis) {
  // Pillow adds the step up instead of multiplying; the last bit of the sum decides ties.
  const double step = static_cast<double>(axis.source) / axis.target;
  std::vector<int> chosen;
  double at = step * 0.5;
  for (int i = 0; i < axis.begin + axis.count; ++i, at += step) {
    if (i >= axis.begin) chosen.push_back(std::min(static_cast<int>(at), axis.source - 1));
  }
  return chosen;
}

Image resize_nearest(const Image& image, const AxisWindow& across, const AxisWindow& down) {
  const std::vector<int> columns = nearest_positions(across), rows = nearest_positions(down);
  Image out(across.count, down.count, image.channels);
  for (int y = 0; y < down.count; ++y) {
    for (int x = 0; x < across.count; ++x)
      std::copy_n(image.at(columns[x], rows[y]), image.channels, out.at(x, y));
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

/// The source pixels [begin, end) that an axis needs, and its taps counted from there; no taps where the side
/// keeps its length.
struct AxisPlan {
  std::optional<Taps> taps;
  int begin, end;

  AxisPlan(const AxisWindow& axis, Filter filter) : begin(axis.begin), end(axis.begin + axis.count) {
    if (axis.keeps_length()) return;
    taps = filter == Filter::area ? make_area_taps(axis) : make_taps(axis, filter);
    begin = *std::min_element(taps->first.begin(), taps->first.end());
    end = 0;
    for (size_t i = 0; i < taps->first.size(); ++i) {
      end = std::max(end, taps->first[i] + taps->count[i]);
      taps->first[i] -= begin;
    }
  }
  const Taps* get() const { return taps ? &*taps : nullptr; }
};

Image resize_area(const Image& image, const AxisPlan& across, const AxisPlan& down) {
  Plane<float> plane{image.width, image.height, image.channels, {image.pixels.begin(), image.pixels.end()}};
  plane = resample<Floating>(std::move(plane), across.get(), down.get());
  Image out(plane.width, plane.height, plane.channels);
  std::transform(plane.samples.begin(), plane.samples.end(), out.pixels.begin(), [](float value) {
    return static_cast<uint8_t>(std::clamp(std::nearbyint(value), 0.0f, 255.0f));
  });
  return out;
}

Image resize_fixed(Image image, const AxisPlan& across, const AxisPlan& down) {
  Plane<uint8_t> plane{image.width, image.height, image.channels, std::move(image.pixels)};
  plane = resample<Fixed>(std::move(plane), across.get(), down.get());
  Image out(plane.width, plane.height, plane.channels);
  out.pixels = std::move(plane.samples);
  return out;
}

Image resize_channels(Image image, const AxisPlan& across, const AxisPlan& down, Filter filter) {
  return filter == Filter::area ? resize_area(image, across, down)
                                : resize_fixed(std::move(image), across, down);
}

/// A window of the picture resized to across.target x down.target pixels; nothing else of it is computed.
Image resize_window(const Image& image, const AxisWindow& across, const AxisWindow& down, Filter filter) {
  Image out;
  if (across.keeps_length() && down.keeps_length()) {
    out = crop(image, across.begin, down.begin, across.count, down.count);
  } else if (filter == Filter::nearest) {
    out = resize_nearest(image, across, down);
  } else {
    const AxisPlan columns(across, filter), rows(down, filter);
    Image part = crop(image, columns.begin, rows.begin, columns.end - columns.begin, rows.end - rows.begin);
    const bool alpha = part.channels == 4;
    if (alpha) part = multiply_alpha(std::move(part));
    out = resize_channels(std::move(part), columns, rows, filter);
    if (alpha) out = divide_alpha(std::move(out));
  }
  out.origin = image.origin;
  return out;
}

}  // namespace

Image resize(const Image& image, int width, int height, Filter filter) {
  check(std::min(width, height) >= 1 && std::max(width, height) <= kMaxImageSide, ErrorKind::usage,
        "resize: {} x {} pixels asked for; each side must be in [1, {}]", width, height, kMaxImageSide);
  return resize_window(image, {image.width, width, 0, width}, {image.height, height, 0, height}, filter);
}

Filter filter_as_pillow(const Image& image, Filter wanted) {
  return image.origin == PixelOrigin::indexed ? Filter::nearest : wanted;
}

Image fit_square(const Image& image, int size, Filter filter, SideRounding rounding) {
  check(size >= 1 && size <= kMaxImageSide, ErrorKind::usage,
        "resize: shorter side {}; it must be in [1, {}]", size, kMaxImageSide);
  const int shorter = std::min(image.width, image.height), longer = std::max(image.width, image.height);
  const double ratio = static_cast<double>(size) / shorter;
  // At most kMaxImageSide squared: an int.
  const auto other = static_cast<int>(rounding == SideRounding::truncate ? int64_t{size} * longer / shorter
                                                                         : std::lrint(ratio * longer));
  const auto offset = static_cast<int>(std::lrint((other - size) / 2.0));
  const AxisWindow whole{shorter, size, 0, size}, middle{longer, other, offset, size};
  return image.width <= image.height ? resize_window(image, whole, middle, filter)
                                     : resize_window(image, middle, whole, filter);
}

}  // namespace dalle1
