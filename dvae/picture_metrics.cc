#include "dvae/picture_metrics.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "core/error.h"

namespace dalle1::dvae {
namespace {

constexpr int kWindow = 11;

std::vector<double> luma(const Image& image) {
  std::vector<double> y(static_cast<size_t>(image.width) * image.height);
  for (size_t i = 0; i < y.size(); ++i) {
    const uint8_t* p = image.pixels.data() + 3 * i;
    y[i] = 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2];
  }
  return y;
}

std::vector<double> gaussian(int size) {
  constexpr double sigma = 1.5;
  std::vector<double> weights(size);
  double sum = 0;
  for (int i = 0; i < size; ++i) {
    const double distance = i - (size - 1) / 2.0;
    sum += weights[i] = std::exp(-distance * distance / (2 * sigma * sigma));
  }
  for (double& weight : weights) weight /= sum;
  return weights;
}

// Weighted means over all windows inside, separably.
std::vector<double> blurred(const std::vector<double>& x, int width, int height,
                            const std::vector<double>& across, const std::vector<double>& down) {
  const int out_width = width - static_cast<int>(across.size()) + 1;
  const int out_height = height - static_cast<int>(down.size()) + 1;
  std::vector<double> rows(static_cast<size_t>(out_width) * height),
      y(static_cast<size_t>(out_width) * out_height);
  for (int row = 0; row < height; ++row) {
    for (int column = 0; column < out_width; ++column) {
      double sum = 0;
      for (size_t i = 0; i < across.size(); ++i)
        sum += across[i] * x[static_cast<size_t>(row) * width + column + i];
      rows[static_cast<size_t>(row) * out_width + column] = sum;
    }
  }
  for (int row = 0; row < out_height; ++row) {
    for (int column = 0; column < out_width; ++column) {
      double sum = 0;
      for (size_t i = 0; i < down.size(); ++i) sum += down[i] * rows[(row + i) * out_width + column];
      y[static_cast<size_t>(row) * out_width + column] = sum;
    }
  }
  return y;
}

void check_same(const Image& a, const Image& b) {
  check(a.channels == 3 && b.channels == 3 && a.width == b.width && a.height == b.height, ErrorKind::internal,
        "pictures of {}x{}x{} and {}x{}x{} cannot be compared", a.width, a.height, a.channels, b.width,
        b.height, b.channels);
}

}  // namespace

double mean_squared_error(const Image& a, const Image& b) {
  check_same(a, b);
  int64_t sum = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) {
    const int difference = a.pixels[i] - b.pixels[i];
    sum += difference * difference;
  }
  return static_cast<double>(sum) / static_cast<double>(a.pixels.size());
}

double psnr_of(double mse) {
  return mse > 0 ? 10 * std::log10(255.0 * 255.0 / mse) : std::numeric_limits<double>::infinity();
}

double ssim(const Image& a, const Image& b) {
  check_same(a, b);
  constexpr double c1 = 0.01 * 255 * 0.01 * 255, c2 = 0.03 * 255 * 0.03 * 255;
  const auto across = gaussian(std::min(kWindow, a.width)), down = gaussian(std::min(kWindow, a.height));
  const std::vector<double> x = luma(a), y = luma(b);
  const auto mean_of = [&](const std::vector<double>& u, const std::vector<double>& v) {
    std::vector<double> product(u.size());
    for (size_t i = 0; i < u.size(); ++i) product[i] = u[i] * v[i];
    return blurred(product, a.width, a.height, across, down);
  };
  const auto mx = blurred(x, a.width, a.height, across, down),
             my = blurred(y, a.width, a.height, across, down);
  const auto xx = mean_of(x, x), yy = mean_of(y, y), xy = mean_of(x, y);
  double sum = 0;
  for (size_t i = 0; i < mx.size(); ++i) {
    const double means = mx[i] * mx[i] + my[i] * my[i], product = mx[i] * my[i];
    const double variances = xx[i] + yy[i] - means, covariance = xy[i] - product;
    sum += (2 * product + c1) * (2 * covariance + c2) / ((means + c1) * (variances + c2));
  }
  return sum / static_cast<double>(mx.size());
}

void CodeUse::add(const std::vector<int64_t>& indices) {
  for (const int64_t index : indices) ++counts_.at(index);
}

int64_t CodeUse::used() const {
  return std::count_if(counts_.begin(), counts_.end(), [](int64_t count) { return count > 0; });
}

double CodeUse::perplexity() const {
  double total = 0, entropy = 0;
  for (const int64_t count : counts_) total += static_cast<double>(count);
  for (const int64_t count : counts_) {
    if (count == 0) continue;
    const double share = static_cast<double>(count) / total;
    entropy -= share * std::log(share);
  }
  return std::exp(entropy);
}

}  // namespace dalle1::dvae
