// Statistics of studies against tables and R (t.test, p.adjust).
#include <doctest/doctest.h>

#include "core/error.h"
#include "tools/study/ablate_statistics.h"

namespace dalle1::test {
namespace {

using namespace tools;
using doctest::Approx;

TEST_CASE("quantiles of Student's t are those of the tables") {
  const double two_sided_95[] = {12.7062, 4.3027, 3.1824, 2.7764, 2.5706};
  for (int freedom = 1; freedom <= 5; ++freedom) {
    CAPTURE(freedom);
    CHECK(student_quantile(0.95, freedom) == Approx(two_sided_95[freedom - 1]).epsilon(2e-5));
  }
  CHECK(student_quantile(0.99, 4) == Approx(4.6041).epsilon(2e-5));
  CHECK(student_quantile(0.95, 30) == Approx(2.0423).epsilon(5e-5));
  CHECK(student_quantile(0.95, 1e6) == Approx(1.95996).epsilon(1e-5));
  CHECK(student_two_sided(0, 4) == Approx(1));
  CHECK(student_two_sided(1, 1) == Approx(0.5));  // Cauchy
  CHECK(student_two_sided(-2.7764451, 4) == Approx(0.05).epsilon(1e-6));
}

TEST_CASE("paired differences") {
  const std::vector<double> a = {5.1, 4.9, 5.6, 5.2, 5.0}, b = {5.0, 4.7, 5.3, 5.2, 4.6};
  const PairedDifference d = paired_difference(a, b);  // differences 0.1 0.2 0.3 0 0.4
  CHECK(d.pairs == 5);
  CHECK(d.mean == Approx(0.2));
  CHECK(d.deviation == Approx(0.158114).epsilon(1e-5));
  CHECK(d.low == Approx(0.2 - 2.776445 * 0.0707107).epsilon(1e-5));
  CHECK(d.high == Approx(0.2 + 2.776445 * 0.0707107).epsilon(1e-5));
  CHECK(d.p == Approx(0.04742).epsilon(1e-3));  // t = 2 sqrt 2 with 4 degrees of freedom
  const PairedDifference none = paired_difference(a, a);
  CHECK(none.p == 1);
  CHECK(none.high == 0);
  const PairedDifference one = paired_difference(std::vector<double>{2}, std::vector<double>{1});
  CHECK(one.p == 1);
  CHECK(one.mean == 1);
  CHECK_THROWS_AS(paired_difference(a, std::vector<double>{1}), Error);
}

TEST_CASE("Holm's correction steps down and never falls") {
  const std::vector<double> p = {0.01, 0.04, 0.03, 0.005};
  const std::vector<double> adjusted = {0.03, 0.06, 0.06, 0.02};
  const auto result = holm(p);
  REQUIRE(result.size() == 4);
  for (size_t i = 0; i < 4; ++i) CHECK(result[i] == Approx(adjusted[i]));
  CHECK(holm(std::vector<double>{0.6, 0.9})[1] == 1);
  CHECK(holm({}).empty());
}

}  // namespace
}  // namespace dalle1::test
