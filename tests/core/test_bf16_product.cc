// Products of operands rounded to bf16: those of double arithmetic on the rounded operands, by every kernel
// that this machine runs and by stand-ins for those that it does not.
#include "core/cpu/bf16_product.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "core/attention/attention_plan.h"
#include "core/cpu/attention_kernels.h"
#include "core/kernels/kernels.h"
#include "tests/core/attention_head.h"
#include "tests/support/random_values.h"

namespace dalle1 {
namespace cpu {
extern const Bf16Kernels bf16_stand_in, bf16_amx_stand_in;
extern const AttentionKernels attention_bf16_stand_in, attention_amx_stand_in;
}  // namespace cpu
namespace {

double as_bf16(float value) { return bf16_to_f32(f32_to_bf16(value)); }

struct Named {
  std::string name;
  const cpu::Bf16Kernels* product;
  const cpu::AttentionKernels* attention;
  bool here;
};

std::vector<Named> all_kernels() {
  using cpu::Isa;
  return {{"stand-in for vdpbf16ps", &cpu::bf16_stand_in, &cpu::attention_bf16_stand_in, true},
          {"stand-in for amx", &cpu::bf16_amx_stand_in, &cpu::attention_amx_stand_in, true},
          {"avx512 bf16", &cpu::bf16_avx512bf16, &cpu::attention_avx512bf16, cpu::supports(Isa::bf16)},
          {"amx", &cpu::bf16_amx, &cpu::attention_amx, cpu::supports(Isa::amx)}};
}

template <typename Check>
void for_each_kernel(const Check& check_kernel) {
  for (const Named& each : all_kernels()) {
    CAPTURE(each.name);
    if (each.here)
      check_kernel(each);
    else
      MESSAGE("skipped: this processor has no " << each.name);
  }
}

/// op(a) op(b) with op(a) [m, k] and op(b) [k, n].
struct Problem {
  int64_t m, n, k;
  bool transpose_a, transpose_b;
  std::vector<float> a = random_values(m * k, 1), b = random_values(k * n, 2),
                     before = random_values(m * n, 3), bias = random_values(n, 4);

  cpu::Bf16Product product() const {
    cpu::Bf16Product p;
    p.a = {a.data(), transpose_a ? 1 : k, transpose_a ? m : 1};
    p.b = {b.data(), transpose_b ? k : 1, transpose_b ? 1 : n};
    p.rows = m;
    p.columns = n;
    p.depth = k;
    return p;
  }
  std::vector<float> run(const cpu::Bf16Kernels& kernels, bool accumulate, bool biased,
                         int threads = 1) const {
    const auto device = make_cpu_device(threads, true);
    std::vector<float> y = accumulate ? before : std::vector<float>(m * n, NAN);
    cpu::Bf16Product p = product();
    p.accumulate = accumulate;
    p.bias = biased ? bias.data() : nullptr;
    p.y = y.data();
    cpu::multiply_bf16(kernels, p, *device, threads);
    return y;
  }
  std::vector<double> reference(bool accumulate, bool biased) const {
    std::vector<double> y(m * n);
    for (int64_t row = 0; row < m; ++row)
      for (int64_t column = 0; column < n; ++column) {
        double total = accumulate ? before[row * n + column] : biased ? bias[column] : 0.0;
        for (int64_t d = 0; d < k; ++d)
          total += as_bf16(a[transpose_a ? d * m + row : row * k + d]) *
                   as_bf16(b[transpose_b ? column * k + d : d * n + column]);
        y[row * n + column] = total;
      }
    return y;
  }
};

double distance(const std::vector<float>& found, const std::vector<double>& expected) {
  REQUIRE(found.size() == expected.size());
  double difference = 0, norm = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    difference += std::pow(found[i] - expected[i], 2);
    norm += std::pow(expected[i], 2);
  }
  return std::sqrt(difference / norm);
}

}  // namespace

TEST_CASE(
    "products in bf16 equal those of the rounded operands, transposed, added and biased, at odd sizes") {
  for_each_kernel([](const Named& each) {
    for (const auto& [m, n, k] : {std::tuple{1, 1, 1},
                                  {3, 5, 7},
                                  {16, 16, 32},
                                  {32, 32, 64},
                                  {33, 45, 70},
                                  {70, 31, 97},
                                  {300, 40, 33},
                                  {17, 1100, 40},
                                  {40, 36, 1060}})
      for (int mode = 0; mode < 4; ++mode) {
        const Problem p{m, n, k, (mode & 1) != 0, (mode & 2) != 0};
        CAPTURE(m);
        CAPTURE(k);
        CAPTURE(mode);
        CHECK(distance(p.run(*each.product, false, false), p.reference(false, false)) < 2e-6);
        CHECK(distance(p.run(*each.product, false, true), p.reference(false, true)) < 2e-6);
        CHECK(distance(p.run(*each.product, true, false), p.reference(true, false)) < 2e-6);
      }
  });
}

TEST_CASE("products in bf16 have the same bits for any number of threads") {
  for_each_kernel([](const Named& each) {
    for (const Problem& p : {Problem{700, 70, 600, false, true}, {40, 1500, 64, true, false}})
      CHECK(p.run(*each.product, false, true, 1) == p.run(*each.product, false, true, 3));
  });
}

TEST_CASE("extreme numbers in bf16: zeros, what overflows, what is not a number, outliers") {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for_each_kernel([&](const Named& each) {
    Problem p{33, 2, 40, false, true};
    const auto row = [&](int64_t r) { return p.a.begin() + r * p.k; };
    std::fill(p.b.begin(), p.b.end(), 1.0f);
    std::fill(row(0), row(1), 0.0f);
    std::fill(row(1), row(2), 3e38f);
    *row(2) = NAN;
    std::fill(row(3), row(4), 1.0f);
    *row(3) = 1e4f;
    std::fill(row(4), row(5), 1e-40f);  // denormal: kept or taken for zero
    const std::vector<float> y = p.run(*each.product, false, false);
    CHECK(y[0] == 0.0f);
    CHECK(y[2] == kInfinity);
    CHECK(std::isnan(y[4]));
    CHECK(y[6] == static_cast<float>(as_bf16(1e4f)) + 39.0f);
    CHECK(y[8] >= 0.0f);
    CHECK(y[8] < 1e-38f);
    CHECK(std::isfinite(y[10]));
  });
}

TEST_CASE("a product over an empty depth is the bias, or zero") {
  for_each_kernel([](const Named& each) {
    const Problem p{3, 4, 0, false, false};
    const std::vector<float> y = p.run(*each.product, false, true);
    CHECK(std::vector<float>(y.begin(), y.begin() + 4) == p.bias);
    CHECK(p.run(*each.product, false, false) == std::vector<float>(12, 0.0f));
    CHECK(p.run(*each.product, true, false) == p.before);
  });
}

TEST_CASE("attention with products in bf16 is that in f32 up to their rounding") {
  AttentionPattern row;
  row.kind = PatternKind::row;
  row.text = 37;
  row.grid = 9;
  for_each_kernel([&](const Named& each) {
    for (const auto& [pattern, length, size] : {std::tuple{row, 118, 20},
                                                {AttentionPattern::causal(64), 64, 64},
                                                {AttentionPattern::full(70), 70, 33}}) {
      CAPTURE(size);
      const AttentionPlan plan = make_attention_plan(pattern, length, length);
      const auto expected = attend_head(cpu::attention_avx2, plan, length, size);
      const auto found = attend_head(*each.attention, plan, length, size);
      for (size_t i = 0; i < expected.size(); ++i) {
        CAPTURE(i);
        const std::vector<double> exact(expected[i].begin(), expected[i].end());
        CHECK(distance(found[i], exact) < 1e-2);
      }
    }
  });
}

}  // namespace dalle1
