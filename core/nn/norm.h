// Normalisation layers.
#pragma once

#include <string>

#include "core/nn/parameters.h"
#include "core/tensor/context.h"

namespace dalle1::nn {

/// Over the last axis (Ba et al. 2016), see ops::layer_norm: [.., C] to [.., C].
struct LayerNorm {
  Tensor weight;  ///< [C]
  Tensor bias;    ///< [C]
  float epsilon = 1e-5f;
  DType result = DType::f32;  ///< Of what it gives.

  /// Ones and zeros.
  static LayerNorm identity(Device& device, int64_t width, float epsilon = 1e-5f, DType result = DType::f32);
  void visit(const std::string& name, const ParameterVisitor& visitor);
  Tensor forward(Context& context, const Tensor& x) const;
};

/// Over groups of channels and all pixels (Wu and He 2018), see ops::group_norm: [B, C, H, W] to the same.
struct GroupNorm {
  Tensor weight;  ///< [C]
  Tensor bias;    ///< [C]
  int groups = 32;
  float epsilon = 1e-6f;

  /// Ones and zeros; Error(model) where `groups` do not divide the channels.
  static GroupNorm identity(Device& device, int64_t channels, int groups = 32, float epsilon = 1e-6f);
  void visit(const std::string& name, const ParameterVisitor& visitor);
  Tensor forward(Context& context, const Tensor& x) const;
};

}  // namespace dalle1::nn
