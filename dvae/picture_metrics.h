// How good reconstructions are and how many codes they use.
#pragma once

#include <cstdint>
#include <vector>

#include "core/image/image.h"

namespace dalle1::dvae {

/// Mean over pixels and channels of squared differences of 8-bit values, both RGB of one size.
double mean_squared_error(const Image& a, const Image& b);
/// 10 log10(255^2 / mse) in dB; infinite for equal pictures.
double psnr_of(double mean_squared_error);

/// Structural similarity of the luma (Wang et al. 2004): Gaussian windows of 11 pixels, sigma 1.5, K1 = 0.01,
/// K2 = 0.03, mean over the windows that lie inside. Pictures smaller than a window use their whole area as
/// one.
double ssim(const Image& a, const Image& b);

/// How often each code was used.
class CodeUse {
 public:
  explicit CodeUse(int64_t codes) : counts_(codes) {}
  void add(const std::vector<int64_t>& indices);
  int64_t used() const;
  /// exp of the entropy in nats: 1 for a single code, the number of codes for uniform use.
  double perplexity() const;

 private:
  std::vector<int64_t> counts_;
};

}  // namespace dalle1::dvae
