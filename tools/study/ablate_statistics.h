// Paired differences over seeds: what a study may claim.
#pragma once

#include <span>
#include <vector>

namespace dalle1::tools {

double mean_of(std::span<const double> values);
/// Deviation of a sample (n - 1 below); 0 for fewer than two values.
double deviation_of(std::span<const double> values);

/// P(|T| > |t|) of Student's distribution with `freedom` > 0 degrees of freedom.
double student_two_sided(double t, double freedom);
/// The t with student_two_sided(t, freedom) = 1 - confidence: 4.303 for 0.95 and 2.
double student_quantile(double confidence, double freedom);

struct PairedDifference {
  int pairs = 0;
  double mean = 0;
  double deviation = 0;      ///< Of the differences over seeds.
  double low = 0, high = 0;  ///< 95% t interval of the mean; both the mean itself for fewer than two pairs.
  double p = 1;              ///< Two-sided, of no difference; 1 for fewer than two pairs.
};

/// Of a[i] - b[i]. Differences that are all equal have p = 0, or 1 when they are 0. Error(internal) for
/// unequal lengths.
PairedDifference paired_difference(std::span<const double> a, std::span<const double> b);

/// Holm's step-down correction (1979) for several tests at once: adjusted p values in the order given.
std::vector<double> holm(std::span<const double> p);

}  // namespace dalle1::tools
