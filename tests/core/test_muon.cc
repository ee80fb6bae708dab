// The update that makes momentum orthogonal, against matrices whose factors are known.
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "core/random/philox.h"
#include "core/tensor/device.h"
#include "core/train/muon.h"

namespace dalle1::test {
namespace {

using Matrix = std::vector<std::vector<double>>;

Matrix zeros(int rows, int columns) { return Matrix(rows, std::vector<double>(columns)); }

Matrix product(const Matrix& a, const Matrix& b) {
  Matrix y = zeros(static_cast<int>(a.size()), static_cast<int>(b[0].size()));
  for (size_t i = 0; i < a.size(); ++i)
    for (size_t k = 0; k < b.size(); ++k)
      for (size_t j = 0; j < b[0].size(); ++j) y[i][j] += a[i][k] * b[k][j];
  return y;
}

Matrix transposed(const Matrix& a) {
  Matrix y = zeros(static_cast<int>(a[0].size()), static_cast<int>(a.size()));
  for (size_t i = 0; i < a.size(); ++i)
    for (size_t j = 0; j < a[0].size(); ++j) y[j][i] = a[i][j];
  return y;
}

// I - 2 v v^T.
Matrix reflection(int n, uint32_t seed) {
  RandomStream draws(seed, Stream::test, 1);
  std::vector<double> v(n);
  double squares = 0;
  for (double& value : v) {
    value = draws.normal();
    squares += value * value;
  }
  Matrix y = zeros(n, n);
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j) y[i][j] = (i == j) - 2 * v[i] * v[j] / squares;
  return y;
}

Tensor tensor_of(Device& device, const Matrix& a) {
  std::vector<float> values;
  for (const auto& row : a) values.insert(values.end(), row.begin(), row.end());
  return Tensor::from(device, {static_cast<int64_t>(a.size()), static_cast<int64_t>(a[0].size())}, values);
}

Matrix matrix_of(const Tensor& x) {
  const auto values = x.to_floats();
  Matrix y = zeros(static_cast<int>(x.dim(0)), static_cast<int>(x.dim(1)));
  for (int64_t i = 0; i < x.numel(); ++i) y[i / x.dim(1)][i % x.dim(1)] = values[i];
  return y;
}

TEST_CASE("muon: a matrix keeps its singular vectors and gets singular values near 1") {
  auto device = make_cpu_device(1);
  for (const auto& [rows, columns] : {std::pair{8, 8}, {12, 5}, {5, 12}}) {
    CAPTURE(rows);
    const Matrix u = reflection(rows, 1), v = reflection(columns, 2);
    Matrix s = zeros(rows, columns);
    const int rank = std::min(rows, columns);
    for (int i = 0; i < rank; ++i) s[i][i] = std::pow(0.5, i);  // 1 down to 1/128
    const Tensor x = tensor_of(*device, product(product(u, s), transposed(v)));
    const Matrix core = product(product(transposed(u), matrix_of(orthogonalised(x))), v);
    for (int i = 0; i < rows; ++i) {
      for (int j = 0; j < columns; ++j) {
        if (i == j) {
          CHECK(core[i][j] > 0.6);
          CHECK(core[i][j] < 1.3);
        } else {
          CHECK(std::abs(core[i][j]) < 1e-4);
        }
      }
    }
  }
}

TEST_CASE("muon: momentum, Nesterov's step, decay and the factor of tall matrices") {
  auto device = make_cpu_device(1);
  const MuonOptions options{
      .momentum = 0.9f, .weight_decay = 0.1f, .gradient_scale = 0.5f, .learning_rate = 0.02f};
  const Matrix gradient = reflection(6, 3), before = reflection(6, 4);
  // Of a 12 x 6 matrix: two equal parts, apart, and as one.
  Matrix tall = gradient, start = before;
  tall.insert(tall.end(), gradient.begin(), gradient.end());
  start.insert(start.end(), before.begin(), before.end());
  for (int parts : {1, 2}) {
    CAPTURE(parts);
    Tensor parameter = tensor_of(*device, start), momentum = Tensor::full(*device, {12, 6}, 0.0f);
    muon_update(options, tensor_of(*device, tall), parts, parameter, momentum);
    const Tensor direction = orthogonalised(tensor_of(*device, parts == 1 ? tall : gradient));
    const Matrix step = matrix_of(direction), after = matrix_of(parameter), m = matrix_of(momentum);
    const double factor = parts == 1 ? std::sqrt(2.0) : 1.0;
    for (int i = 0; i < 12; ++i) {
      for (int j = 0; j < 6; ++j) {
        const double expected =
            start[i][j] * (1 - 0.02 * 0.1) - 0.02 * factor * step[parts == 1 ? i : i % 6][j];
        CHECK(after[i][j] == doctest::Approx(expected).epsilon(1e-4));
        CHECK(m[i][j] == doctest::Approx(0.1 * 0.5 * tall[i][j]).epsilon(1e-5));
      }
    }
  }
}

TEST_CASE("muon: no gradient moves nothing") {
  auto device = make_cpu_device(1);
  Tensor parameter = Tensor::full(*device, {4, 3}, 2.0f), momentum = Tensor::zeros(*device, {4, 3});
  muon_update({}, Tensor::zeros(*device, {4, 3}), 1, parameter, momentum);
  for (float value : parameter.to_floats()) CHECK(value == 2.0f);
}

}  // namespace
}  // namespace dalle1::test
