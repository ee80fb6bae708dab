#include "tools/study/ablate_statistics.h"

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <numeric>

#include "core/error.h"

namespace dalle1::tools {
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
  return 2 * cdf(complement(boost::math::students_t(freedom), std::abs(t)));
}

double student_quantile(double confidence, double freedom) {
  return quantile(complement(boost::math::students_t(freedom), (1 - confidence) / 2));
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
