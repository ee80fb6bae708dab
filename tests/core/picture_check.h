// Checks an op on pictures against a plain double-precision reference: its value, and its gradients against
// central differences of the reference.
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <vector>

#include "core/grad/tape.h"
#include "core/ops/elementwise.h"
#include "core/ops/layout.h"
#include "core/ops/movement.h"
#include "core/ops/reduce.h"
#include "core/random/philox.h"

namespace dalle1::test {

using Values = std::vector<double>;

inline Values random_values(int64_t n, uint32_t index) {
  RandomStream random(11, Stream::test, index);
  Values values(n);
  for (double& v : values) v = random.normal();
  return values;
}

inline Tensor tensor_of(Device& device, const Shape& shape, const Values& values) {
  return Tensor::from(device, shape, std::vector<float>(values.begin(), values.end()));
}

/// |a - b| / |b| over all elements.
inline double relative_error(const std::vector<float>& a, const Values& b) {
  REQUIRE(a.size() == b.size());
  double difference = 0, norm = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    norm += b[i] * b[i];
  }
  return std::sqrt(difference / std::max(norm, 1e-30));
}

struct PictureCase {
  std::vector<Shape> shapes;  ///< Of the inputs.
  std::function<Tensor(Context&, const std::vector<Tensor>&)> op;
  std::function<Values(const std::vector<Values>&)> reference;
  /// Rank-4 inputs are given in the device's blocked layout; the last `weights` are not.
  bool blocked = false;
  int weights = 0;
};

/// Value to 1e-5 and gradients to 1e-4, both normwise, on poisoned memory.
inline void check_picture_op(const PictureCase& c) {
  auto device = make_cpu_device(2, /*poison=*/true);
  Tape tape;
  Context context(*device, &tape);
  std::vector<Values> values;
  std::vector<Tensor> leaves, inputs;
  for (size_t i = 0; i < c.shapes.size(); ++i) {
    Values drawn = random_values(c.shapes[i].numel(), static_cast<uint32_t>(i));
    for (double& v : drawn) v = static_cast<float>(v);
    values.push_back(drawn);
    leaves.push_back(tensor_of(*device, c.shapes[i], drawn));
    tape.watch(leaves.back());
    const bool picture = c.shapes[i].rank() == 4 && i + c.weights < c.shapes.size();
    inputs.push_back(picture && c.blocked
                         ? ops::to_layout(context, leaves[i], device->kernels().preferred_layout(64))
                         : leaves[i]);
  }
  const Tensor y = ops::to_plain(context, c.op(context, inputs));
  const Values expected = c.reference(values);
  CHECK(relative_error(y.to_floats(), expected) < 1e-5);

  const Values weights = random_values(y.numel(), 99);
  tape.backward(ops::sum(context, ops::mul(context, y, tensor_of(*device, y.shape(), weights))));
  const auto loss = [&] {
    const Values out = c.reference(values);
    double sum = 0;
    for (size_t i = 0; i < out.size(); ++i) sum += out[i] * weights[i];
    return sum;
  };
  for (size_t i = 0; i < leaves.size(); ++i) {
    const std::vector<float> gradient = tape.gradient(leaves[i]).to_floats();
    std::vector<float> sampled;
    Values numeric;
    const size_t step = std::max<size_t>(1, values[i].size() / 24);
    for (size_t j = 0; j < values[i].size(); j += step) {
      const double before = values[i][j], h = 1e-5;
      values[i][j] = before + h;
      const double above = loss();
      values[i][j] = before - h;
      const double below = loss();
      values[i][j] = before;
      numeric.push_back((above - below) / (2 * h));
      sampled.push_back(gradient[j]);
    }
    CAPTURE(i);
    CHECK(relative_error(sampled, numeric) < 1e-4);
  }
}

}  // namespace dalle1::test
