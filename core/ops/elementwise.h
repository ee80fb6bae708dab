// Elementwise ops. Each keeps the layout of its operand; binary ops broadcast as NumPy does.
#pragma once

#include "core/kernels/arguments.h"
#include "core/tensor/context.h"

namespace dalle1::ops {

Tensor unary(Context& context, Unary op, const Tensor& x);
inline Tensor relu(Context& context, const Tensor& x) { return unary(context, Unary::relu, x); }
/// x * Phi(x), exact (Hendrycks and Gimpel 2016).
inline Tensor gelu(Context& context, const Tensor& x) { return unary(context, Unary::gelu, x); }
inline Tensor sigmoid(Context& context, const Tensor& x) { return unary(context, Unary::sigmoid, x); }
inline Tensor exp(Context& context, const Tensor& x) { return unary(context, Unary::exp, x); }
inline Tensor log(Context& context, const Tensor& x) { return unary(context, Unary::log, x); }
inline Tensor abs(Context& context, const Tensor& x) { return unary(context, Unary::abs, x); }
inline Tensor square(Context& context, const Tensor& x) { return unary(context, Unary::square, x); }

/// "relu", "relu_squared" (So et al. 2021, Primer), "gelu", "gelu_tanh", "quick_gelu", "silu"; Error(model)
/// for another name.
Unary activation_from_name(std::string_view name);

Tensor add(Context& context, const Tensor& a, const Tensor& b);
Tensor sub(Context& context, const Tensor& a, const Tensor& b);
Tensor mul(Context& context, const Tensor& a, const Tensor& b);
Tensor div(Context& context, const Tensor& a, const Tensor& b);
/// max(a, b); the gradient goes to a where they are equal. No broadcasting.
Tensor maximum(Context& context, const Tensor& a, const Tensor& b);

/// scale * x + shift.
Tensor affine(Context& context, const Tensor& x, float scale, float shift = 0.0f);

/// x in another type: itself where it has it. The gradient comes back in x's type.
Tensor cast(Context& context, const Tensor& x, DType type);

/// The value of `hard` with the gradient of `soft` (Bengio et al. 2013, straight-through estimator).
Tensor straight_through(Context& context, const Tensor& hard, const Tensor& soft);

/// Zeroes each element with probability p and scales the rest by 1 / (1 - p); the identity outside training.
/// The mask is a function of (seed, step, place): `place` tells the call sites of one forward pass apart.
Tensor dropout(Context& context, const Tensor& x, float p, uint32_t place);

}  // namespace dalle1::ops
