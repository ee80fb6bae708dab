// A fully connected layer.
#pragma once

#include <optional>
#include <string>

#include "core/nn/parameters.h"
#include "core/nn/precision.h"
#include "core/ops/linear.h"
#include "core/ops/linear_cross_entropy.h"

namespace dalle1::nn {

/// y = x W^T + b.
struct Linear {
  Tensor weight;  ///< [out, in]: f32, bf16 (CUDA) or i8; not defined once prepare() has packed it.
  Tensor bias;    ///< [out]
  Tensor scale;   ///< [out]: what the rows of an i8 weight are multiplied by.
  DType compute = DType::f32;  ///< See Precision.
  Int8Weights packed;

  /// Zeros. With i8 the parameters are NAME.weight and, as in files, NAME.weight.scale.
  static Linear zeros(Device& device, int64_t outputs, int64_t inputs, const Precision& precision);
  void visit(const std::string& name, const ParameterVisitor& visitor);

  /// Packs the weight for the device, see Module::prepare(); of an i8 weight the plain one is let go.
  void prepare();
  /// The layer of outputs [begin, end) alone, sharing memory; before prepare().
  Linear rows(int64_t begin, int64_t end) const;
  int64_t outputs() const { return bias.dim(0); }

  /// x [.., in] to residual + activation(x W^T + b) [.., out]; `result`: see ops::linear_fused.
  Tensor forward(Context& context, const Tensor& x, const LinearEpilogue& epilogue = {},
                 std::optional<DType> result = {}) const;
  /// The loss of this layer's outputs as logits, see ops::linear_cross_entropy: x [R, in].
  ops::WeightedLoss cross_entropy(Context& context, const Tensor& x, const Tensor& targets,
                                  const Tensor& weights) const;
};

}  // namespace dalle1::nn
