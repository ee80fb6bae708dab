// Muon: momentum made orthogonal, for the weight matrices between hidden features.
#pragma once

#include "core/tensor/tensor.h"

namespace dalle1 {

struct MuonOptions {
  float momentum = 0.95f;       ///< Of Nesterov's kind.
  float weight_decay = 0.0f;    ///< Decoupled.
  float gradient_scale = 1.0f;  ///< Clipping and accumulation, applied to the gradient first.
  float learning_rate = 0.02f;
  DType compute = DType::f32;  ///< Of the Newton-Schulz steps, see MatmulOptions.
};

/// One update of `parameter` [parts * M, N] and `momentum` of its shape (Jordan et al. 2024): each part's
/// momentum G is replaced by its nearest orthogonal matrix, near enough by five Newton-Schulz steps, times
/// sqrt(max(1, M / N)). `parts`: matrices that lie in one tensor for speed, as queries, keys and values do,
/// are made orthogonal apart.
void muon_update(const MuonOptions& options, const Tensor& gradient, int parts, Tensor& parameter,
                 Tensor& momentum);

/// The polar factor U V^T of x = U S V^T [M, N], within what five Newton-Schulz steps of the quintic
/// 3.4445 s - 4.7750 s^3 + 2.0315 s^5 give: singular values above a thousandth of the norm land in
/// [0.6, 1.3]. The steps bear bf16, as Jordan et al. have them.
Tensor orthogonalised(const Tensor& x, DType compute = DType::f32);

}  // namespace dalle1
