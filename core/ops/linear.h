// Matrix products.
#pragma once

#include "core/kernels/arguments.h"
#include "core/kernels/int8_weights.h"
#include "core/tensor/context.h"

namespace dalle1::ops {

/// x w^T + bias over the last axis: x [.., K], w [N, K], bias [N] or undefined; y [.., N].
/// With neither a tape nor Context::training the product is batch-invariant on the CPU: a row's bits do not
/// depend on the other rows. In training, f32 operands are multiplied in `compute`, see MatmulOptions; so in
/// all that follows.
Tensor linear(Context& context, const Tensor& x, const Tensor& w, const Tensor& bias = {},
              DType compute = DType::f32);

/// residual + activation(x w^T + bias), in the residual's type if there is one, else in `result`, else in
/// x's. Outside training a device may do it in one pass.
Tensor linear_fused(Context& context, const Tensor& x, const Tensor& w, const Tensor& bias,
                    const LinearEpilogue& epilogue, std::optional<DType> result = {},
                    DType compute = DType::f32);

/// The same with weights in eight bits; without a tape.
Tensor linear_fused(Context& context, const Tensor& x, const Int8Weights& w, const Tensor& bias,
                    const LinearEpilogue& epilogue = {});

/// Makes what linear() wants of weights [N, K] without a tape now, rather than at its first call.
void prepare_linear(const Tensor& w);

/// Weights q i8 [N, K], |q| <= 127, times scale f32 [N], in the form that the device multiplies; Error(usage)
/// on one that does not.
Int8Weights pack_int8(const Tensor& q, const Tensor& scale);

/// op(a) op(b) over the last two axes, batched over equal leading axes.
Tensor matmul(Context& context, const Tensor& a, const Tensor& b, bool transpose_a = false,
              bool transpose_b = false, DType compute = DType::f32);

}  // namespace dalle1::ops
