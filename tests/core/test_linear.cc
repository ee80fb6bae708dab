// The packed product: right, and the same bits for a row whatever surrounds it. Training's product: right.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "core/cpu/packed_linear.h"
#include "core/kernels/kernels.h"
#include "tests/support/random_values.h"

namespace dalle1 {
namespace {

double distance(const std::vector<float>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double difference = 0, norm = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    norm += b[i] * b[i];
  }
  return std::sqrt(difference / norm);
}

/// x [rows, depth] w [columns, depth]^T + bias
struct Problem {
  int64_t rows, depth, columns;
  std::vector<float> x, w, bias;

  Problem(int64_t rows, int64_t depth, int64_t columns)
      : rows(rows),
        depth(depth),
        columns(columns),
        x(random_values(rows * depth, 1)),
        w(random_values(columns * depth, 2)),
        bias(random_values(columns, 3)) {}

  std::vector<double> reference(bool with_bias) const {
    std::vector<double> y(rows * columns);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < columns; ++c) {
        double total = with_bias ? bias[c] : 0.0;
        for (int64_t k = 0; k < depth; ++k) total += double(x[r * depth + k]) * w[c * depth + k];
        y[r * columns + c] = total;
      }
    return y;
  }

  /// The product of the first `count` rows.
  std::vector<float> run(int threads, int64_t count, bool with_bias = true) const {
    const auto device = make_cpu_device(threads, true);
    const Tensor xs = Tensor::from(*device, {count, depth}, std::span(x).first(count * depth));
    const Tensor ws = Tensor::from(*device, {columns, depth}, w);
    const Tensor bs = Tensor::from(*device, {columns}, bias);
    Tensor y = Tensor::empty(*device, {count, columns});
    device->kernels().linear({xs, ws, with_bias ? &bs : nullptr, y});
    return y.to_floats();
  }
};

bool same_bits(const float* a, const float* b, int64_t count) {
  return std::memcmp(a, b, count * sizeof(float)) == 0;
}

/// The kernels of one instruction set, called directly.
std::vector<float> run_kernels(const Problem& p, cpu::Isa isa) {
  const cpu::PackedLinearKernels& kernels = cpu::packed_linear(isa);
  const int64_t panels = (p.columns + kernels.width - 1) / kernels.width;
  std::vector<float> packed(panels * p.depth * kernels.width), y(p.rows * p.columns, NAN);
  for (int64_t panel = 0; panel < panels; ++panel)
    kernels.pack(p.w.data(), p.columns, p.depth, panel, packed.data() + panel * p.depth * kernels.width);
  cpu::PackedLinearBlock block;
  block.x = p.x.data();
  block.rows = p.rows;
  block.depth = p.depth;
  block.panels = packed.data();
  block.panel_count = panels;
  block.bias = p.bias.data();
  block.y = y.data();
  block.y_stride = block.columns = p.columns;
  kernels.multiply(block);
  return y;
}

/// All combinations of transposition and accumulation of a batched product.
void check_matmul(int64_t batch, int64_t m, int64_t k, int64_t n) {
  const auto a = random_values(batch * m * k, 1), b = random_values(batch * k * n, 2);
  const auto before = random_values(batch * m * n, 3);
  const auto device = make_cpu_device(2, true);
  for (int mode = 0; mode < 8; ++mode) {
    const bool transpose_a = mode & 1, transpose_b = mode & 2, accumulate = mode & 4;
    CAPTURE(mode);
    std::vector<double> expected(batch * m * n);
    for (int64_t i = 0; i < batch * m * n; ++i) {
      const int64_t s = i / (m * n), row = i / n % m, column = i % n;
      double total = accumulate ? before[i] : 0.0;
      for (int64_t d = 0; d < k; ++d)
        total += double(a[s * m * k + (transpose_a ? d * m + row : row * k + d)]) *
                 b[s * k * n + (transpose_b ? column * k + d : d * n + column)];
      expected[i] = total;
    }
    const Shape left = transpose_a ? Shape{batch, k, m} : Shape{batch, m, k};
    const Shape right = transpose_b ? Shape{batch, n, k} : Shape{batch, k, n};
    Tensor y =
        accumulate ? Tensor::from(*device, {batch, m, n}, before) : Tensor::empty(*device, {batch, m, n});
    device->kernels().matmul(Tensor::from(*device, left, a), Tensor::from(*device, right, b),
                             {transpose_a, transpose_b, accumulate}, y);
    CHECK(distance(y.to_floats(), expected) < 1e-5);
  }
}

}  // namespace

TEST_CASE("linear equals the definition, for odd sizes too") {
  for (const auto& [rows, depth, columns] :
       {std::tuple{1, 1, 1}, {3, 7, 5}, {17, 64, 33}, {64, 100, 47}, {1, 513, 130}, {200, 96, 64}}) {
    const Problem p(rows, depth, columns);
    CAPTURE(rows);
    CHECK(distance(p.run(2, rows), p.reference(true)) < 1e-5);
    CHECK(distance(p.run(1, rows, false), p.reference(false)) < 1e-5);
  }
}

TEST_CASE("a row of linear has the same bits among 1 to 512 rows and on 1 or 2 threads") {
  const Problem p(512, 200, 150);
  const auto all = p.run(1, 512);
  for (int64_t count : {1, 2, 3, 7, 64, 512})
    for (int threads : {1, 2}) {
      const auto y = p.run(threads, count);
      CAPTURE(count);
      CHECK(same_bits(y.data(), all.data(), count * p.columns));
    }
}

TEST_CASE("each output of linear is one chain of fused multiply-adds over k, then the bias") {
  const Problem p(5, 77, 40);
  const auto y = p.run(2, p.rows);
  for (int64_t i = 0; i < p.rows * p.columns; ++i) {
    float chain = 0.0f;
    for (int64_t k = 0; k < p.depth; ++k)
      chain = std::fma(p.x[i / p.columns * p.depth + k], p.w[i % p.columns * p.depth + k], chain);
    CHECK(y[i] == chain + p.bias[i % p.columns]);
  }
}

TEST_CASE("the packed kernels of both instruction sets give the same bits") {
  if (!cpu::supports(cpu::Isa::avx512)) {
    MESSAGE("skipped: this processor has no AVX-512");
    return;
  }
  for (const auto& [rows, depth, columns] : {std::tuple{1, 70, 100}, {29, 130, 81}, {4, 33, 16}}) {
    const Problem p(rows, depth, columns);
    const auto narrow = run_kernels(p, cpu::Isa::avx2), wide = run_kernels(p, cpu::Isa::avx512);
    CHECK(same_bits(narrow.data(), wide.data(), rows * columns));
  }
}

TEST_CASE("linear packs its weights anew after they changed") {
  const auto device = make_cpu_device(1);
  const Tensor x = Tensor::from(*device, {1, 2}, std::vector<float>{1, 2});
  const Tensor w = Tensor::from(*device, {1, 2}, std::vector<float>{3, 4});
  Tensor y = Tensor::empty(*device, {1, 1});
  device->kernels().linear({x, w, nullptr, y});
  CHECK(y.item() == 11);
  w.floats()[1] = 5;
  w.touch();
  device->kernels().linear({x, w, nullptr, y});
  CHECK(y.item() == 13);
}

TEST_CASE("matmul equals the definition for every transposition, batched and accumulating") {
  check_matmul(1, 33, 20, 17);
  check_matmul(3, 8, 16, 24);
  check_matmul(2, 1, 5, 1);
  check_matmul(1, 130, 64, 96);
}

}  // namespace dalle1
