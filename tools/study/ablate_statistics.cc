#include "tools/study/ablate_statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"

namespace dalle1::tools {
namespace {

// Continued fraction of the incomplete beta function (Abramowitz and Stegun, 26.5.8), by Lentz's method.
double beta_fraction(double a, double b, double x) {
  constexpr double tiny = 1e-300, enough = 1e-15;
  constexpr int most_terms = 500;
  const auto kept_from_zero = [](double value) { return std::abs(value) < tiny ? tiny : value; };
  double c = 1, d = 1 / kept_from_zero(1 - (a + b) * x / (a + 1)), result = d;
  for (int m = 1; m < most_terms; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    double last = 1;
    for (const double term : {even, odd}) {
      d = 1 / kept_from_zero(1 + term * d);
      c = kept_from_zero(1 + term / c);
      last = c * d;
      result *= last;
    }
    if (std::abs(last - 1) < enough) break;
  }
  return result;
}

// Regularised incomplete beta function.
double incomplete_beta(double a, double b, double x) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const double front =
      std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) + a * std::log(x) + b * std::log1p(-x));
  if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(a, b, x) / a;
  return 1 - front * beta_fraction(b, a, 1 - x) / b;
}

}  // namespace

double mean_of(std::span<const double> values) {
  return values.empty() ? 0 : std::accumulate(values.begin(), values.end(), 0.0) / double(values.size());
}

double deviation_of(std::span<const double> values) {
  if (values.size() < 2) return 0;
  const double mean = mean_of(values);
  double squares = 0;
  for (double value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / static_cast<double>(values.size() - 1));
}

double student_two_sided(double t, double freedom) {
  return incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t));
}

double student_quantile(double confidence, double freedom) {
  const double tail = 1 - confidence;
  double low = 0, high = 1;
  while (student_two_sided(high, freedom) > tail) high *= 2;
  for (int halving = 0; halving < 200; ++halving) {
    const double middle = (low + high) / 2;
    (student_two_sided(middle, freedom) > tail ? low : high) = middle;
  }
  return (low + high) / 2;
}

PairedDifference paired_difference(std::span<const double> a, std::span<const double> b) {
  check(a.size() == b.size(), ErrorKind::internal, "{} values against {}", a.size(), b.size());
  std::vector<double> differences;
  for (size_t i = 0; i < a.size(); ++i) differences.push_back(a[i] - b[i]);
  PairedDifference result;
  result.pairs = static_cast<int>(differences.size());
  result.mean = result.low = result.high = mean_of(differences);
  if (result.pairs < 2) return result;
  result.deviation = deviation_of(differences);
  const double error = result.deviation / std::sqrt(result.pairs), freedom = result.pairs - 1;
  const double reach = student_quantile(0.95, freedom) * error;
  result.low -= reach;
  result.high += reach;
  if (error > 0) {
    result.p = student_two_sided(result.mean / error, freedom);
  } else {
    result.p = result.mean == 0 ? 1 : 0;
  }
  return result;
}

std::vector<double> holm(std::span<const double> p) {
  std::vector<size_t> order(p.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t i, size_t j) { return p[i] < p[j]; });
  std::vector<double> adjusted(p.size());
  double largest = 0;
  for (size_t rank = 0; rank < order.size(); ++rank) {
    largest = std::max(largest, std::min(1.0, static_cast<double>(order.size() - rank) * p[order[rank]]));
    adjusted[order[rank]] = largest;
  }
  return adjusted;
}

}  // namespace dalle1::tools
