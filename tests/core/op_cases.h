// One table of ops that drives every check: value, gradient, poisoned outputs, support on a device.
//
// A case has an op on tensors and the same function written plainly in double. Gradients are checked against
// central differences of the double reference, so neither side knows the other.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/tensor/context.h"

namespace dalle1::test {

struct HostTensor {
  Shape shape;
  std::vector<double> values;
  double& operator[](int64_t i) { return values[i]; }
  double operator[](int64_t i) const { return values[i]; }
};

struct OpCase {
  std::string name;
  std::vector<Shape> inputs;
  std::function<Tensor(Context&, const std::vector<Tensor>&)> op;
  std::function<HostTensor(const std::vector<HostTensor>&)> reference;
  double low = -1.0, high = 1.0;  ///< Range of the random inputs; kept away from kinks by the case.
  int differentiable = -1;        ///< How many of the inputs get a gradient; -1: all.
  int activations = 0;            ///< How many of the inputs, the first ones, are activations.
};

/// The ops of core/ops that have a gradient, with products that compute in `compute`, with odd sizes and
/// sizes of 1 among the shapes; straight_through, whose gradient is not that of its value, is in test_ops.cc.
/// test_attention.cc has every pattern, test_conv.cc and test_pool.cc the blocked layouts and more
/// geometries.
std::vector<OpCase> all_op_cases(DType compute = DType::f32);

/// Those whose activations a GPU also takes in bf16, beside weights in f32; they are counted in these alone.
std::vector<OpCase> bf16_op_cases();

/// `count` cases each of linear, layer_norm and mul (with broadcasting), of drawn extents from 1 to 40.
std::vector<OpCase> random_shape_cases(int count);

}  // namespace dalle1::test
