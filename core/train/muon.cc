#include "core/train/muon.h"

#include <algorithm>
#include <cmath>

#include "core/kernels/kernels.h"

namespace dalle1 {
namespace {

constexpr int kSteps = 5;
constexpr float kLinear = 3.4445f, kCubic = -4.7750f, kQuintic = 2.0315f;
constexpr float kLeastSquares = 1e-14f;  // a zero matrix stays zero

// x / |x|, Frobenius, without a wait for the device.
Tensor normalised(const Tensor& x) {
  Kernels& kernels = x.kernels();
  Tensor scaled = Tensor::empty(x.device(), x.shape()), sum = Tensor::empty(x.device(), {1, 1});
  kernels.unary(Unary::square, x, scaled);
  kernels.sum_to(scaled, sum);
  kernels.affine(sum, 1.0f, kLeastSquares, sum);
  Tensor inverse = Tensor::empty(x.device(), sum.shape());
  kernels.unary(Unary::rsqrt, sum, inverse);
  kernels.binary(Binary::mul, x, inverse, scaled);
  return scaled;
}

}  // namespace

Tensor orthogonalised(const Tensor& x, DType compute) {
  Kernels& kernels = x.kernels();
  // The smaller of x x^T and x^T x.
  const bool wide = x.dim(0) <= x.dim(1);
  const int64_t side = std::min(x.dim(0), x.dim(1));
  Tensor current = normalised(x), next = Tensor::empty(x.device(), x.shape());
  Tensor gram = Tensor::empty(x.device(), {side, side}), polynomial = Tensor::empty(x.device(), {side, side});
  for (int step = 0; step < kSteps; ++step) {
    kernels.matmul(current, current, {.transpose_a = !wide, .transpose_b = wide, .compute = compute}, gram);
    kernels.matmul(gram, gram, {.compute = compute}, polynomial);
    kernels.affine(polynomial, kQuintic, 0.0f, polynomial);
    kernels.add_scaled(gram, kCubic, polynomial);
    const Tensor &left = wide ? polynomial : current, &right = wide ? current : polynomial;
    kernels.matmul(left, right, {.compute = compute}, next);
    kernels.add_scaled(current, kLinear, next);
    std::swap(current, next);
  }
  return current;
}

void muon_update(const MuonOptions& options, const Tensor& gradient, int parts, Tensor& parameter,
                 Tensor& momentum) {
  check(parameter.rank() == 2 && parts > 0 && parameter.dim(0) % parts == 0, ErrorKind::internal,
        "muon: {} in {} parts", parameter.shape(), parts);
  Kernels& kernels = parameter.kernels();
  Tensor direction = Tensor::empty(gradient.device(), gradient.shape());
  kernels.affine(gradient, options.gradient_scale, 0.0f, direction);
  kernels.lerp(direction, options.momentum, momentum);
  // Nesterov: momentum * m + (1 - momentum) * g.
  kernels.affine(direction, 1.0f - options.momentum, 0.0f, direction);
  kernels.add_scaled(momentum, options.momentum, direction);

  const int64_t rows = parameter.dim(0) / parts;
  const float shape =
      std::sqrt(std::max(1.0f, static_cast<float>(rows) / static_cast<float>(parameter.dim(1))));
  kernels.affine(parameter, 1.0f - options.learning_rate * options.weight_decay, 0.0f, parameter);
  for (int part = 0; part < parts; ++part) {
    Tensor target = parameter.rows(part * rows, (part + 1) * rows);
    kernels.add_scaled(orthogonalised(direction.rows(part * rows, (part + 1) * rows), options.compute),
                       -options.learning_rate * shape, target);
  }
  parameter.touch();
}

}  // namespace dalle1
