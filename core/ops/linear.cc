#include "core/ops/linear.h"

#include "core/grad/tape.h"
#include "core/kernels/kernels.h"
#include "core/ops/elementwise.h"
#include "core/ops/movement.h"
#include "core/ops/reduce.h"

namespace dalle1::ops {
namespace {

Tensor product(const Tensor& a, const Tensor& b, const MatmulOptions& options, DType result) {
  Shape shape = a.shape();
  shape[-2] = a.dim(options.transpose_a ? -1 : -2);
  shape[-1] = b.dim(options.transpose_b ? -2 : -1);
  Tensor y = Tensor::empty(a.device(), shape, result);
  a.kernels().matmul(a, b, options, y);
  return y;
}

Tensor product(const Tensor& a, const Tensor& b, const MatmulOptions& options) {
  return product(a, b, options, a.dtype());
}

void check_shapes(const Tensor& x, const Tensor& w, const Tensor& bias) {
  check(w.rank() == 2 && x.rank() >= 1 && x.dim(-1) == w.dim(1), ErrorKind::internal,
        "linear: x {} with weights {}", x.shape(), w.shape());
  if (bias.defined())
    check(bias.rank() == 1 && bias.dim(0) == w.dim(0), ErrorKind::internal, "linear: bias {} with weights {}",
          bias.shape(), w.shape());
}

// Whether the product is one of training: recorded; or in a first pass without a tape (see checkpoint()), of
// which the recorded one repeats the bits; or of f32 operands that are to be rounded, which no other does.
bool is_of_training(const Context& context, const Tensor& x, DType compute) {
  return context.tape || context.training || (compute == DType::bf16 && x.dtype() == DType::f32);
}

// x w^T + bias in `result`, or in x's type.
Tensor linear_in(Context& context, const Tensor& input, const Tensor& w, const Tensor& bias,
                 std::optional<DType> result, DType compute) {
  const Tensor x = to_plain(context, input);
  check_shapes(x, w, bias);
  const int64_t inputs = w.dim(1), outputs = w.dim(0), rows = x.numel() / inputs;
  Shape shape = x.shape();
  shape[-1] = outputs;
  const Tensor rows_in = x.view({rows, inputs});
  if (!is_of_training(context, x, compute)) {
    Tensor y = Tensor::empty(x.device(), shape, result.value_or(x.dtype()));
    Tensor rows_out = y.view({rows, outputs});
    x.kernels().linear({rows_in, w, bias.defined() ? &bias : nullptr, rows_out});
    return y;
  }
  Tensor y = Tensor::empty(x.device(), {rows, outputs}, result.value_or(x.dtype()));
  x.kernels().training_linear({rows_in, w, bias.defined() ? &bias : nullptr, y}, compute);
  y = y.view(shape);
  if (!context.tape) return y;
  const bool need_x = context.tape->tracks(x), need_w = context.tape->tracks(w);
  context.tape->record({x, w, bias}, y, [=](const Tensor& dy) {
    // Products run in the type of the activations; the gradient of f32 weights stays f32.
    const Tensor rows_dy = dy.to(x.dtype()).view({rows, outputs});
    return std::vector<Tensor>{
        need_x ? product(rows_dy, w, {.compute = compute}).view(x.shape()) : Tensor(),
        need_w ? product(rows_dy, rows_in, {.transpose_a = true, .compute = compute}, w.dtype()) : Tensor(),
        bias.defined() ? reduced_to(rows_dy, bias.shape()) : Tensor()};
  });
  return y;
}

}  // namespace

Tensor linear(Context& context, const Tensor& x, const Tensor& w, const Tensor& bias, DType compute) {
  return linear_in(context, x, w, bias, {}, compute);
}

Tensor linear_fused(Context& context, const Tensor& input, const Tensor& w, const Tensor& bias,
                    const LinearEpilogue& epilogue, std::optional<DType> result, DType compute) {
  if (is_of_training(context, input, compute)) {
    Tensor y = linear_in(context, input, w, bias, epilogue.residual ? std::nullopt : result, compute);
    if (epilogue.activation) y = unary(context, *epilogue.activation, y);
    return epilogue.residual ? add(context, *epilogue.residual, y) : y;
  }
  const Tensor x = to_plain(context, input);
  check_shapes(x, w, bias);
  Shape shape = x.shape();
  shape[-1] = w.dim(0);
  const int64_t rows = x.numel() / w.dim(1);
  const DType dtype = epilogue.residual ? epilogue.residual->dtype() : result.value_or(x.dtype());
  Tensor y = Tensor::empty(x.device(), shape, dtype);
  Tensor rows_out = y.view({rows, w.dim(0)});
  LinearEpilogue of_rows = epilogue;
  Tensor residual;
  if (epilogue.residual) {
    residual = epilogue.residual->view(rows_out.shape());
    of_rows.residual = &residual;
  }
  x.kernels().linear_fused({x.view({rows, w.dim(1)}), w, bias.defined() ? &bias : nullptr, rows_out},
                           of_rows);
  return y;
}

Tensor linear_fused(Context& context, const Tensor& input, const Int8Weights& w, const Tensor& bias,
                    const LinearEpilogue& epilogue) {
  check(!context.tape, ErrorKind::internal, "weights in int8 have no gradient");
  const Tensor x = to_plain(context, input);
  check(x.rank() >= 1 && x.dim(-1) == w.inputs && x.dtype() == DType::f32, ErrorKind::internal,
        "linear: x {} of {} with int8 weights [{}, {}]", x.shape(), name_of(x.dtype()), w.outputs, w.inputs);
  Shape shape = x.shape();
  shape[-1] = w.outputs;
  const int64_t rows = x.numel() / w.inputs;
  Tensor y = Tensor::empty(x.device(), shape);
  Tensor rows_out = y.view({rows, w.outputs});
  Kernels& kernels = x.kernels();
  kernels.int8_linear(x.view({rows, w.inputs}), w, bias.defined() ? &bias : nullptr, rows_out);
  if (epilogue.activation) kernels.unary(*epilogue.activation, y, y);
  if (epilogue.residual) kernels.binary(Binary::add, *epilogue.residual, y, y);
  return y;
}

void prepare_linear(const Tensor& w) { w.kernels().prepare_linear(w); }

Int8Weights pack_int8(const Tensor& q, const Tensor& scale) {
  check(q.rank() == 2 && q.dtype() == DType::i8 && scale.numel() == q.dim(0), ErrorKind::internal,
        "pack_int8: {} {} with {} scales", name_of(q.dtype()), q.shape(), scale.numel());
  return q.kernels().pack_int8(q, scale);
}

Tensor matmul(Context& context, const Tensor& a, const Tensor& b, bool transpose_a, bool transpose_b,
              DType compute) {
  check(a.rank() >= 2 && a.rank() == b.rank() && a.dim(transpose_a ? -2 : -1) == b.dim(transpose_b ? -1 : -2),
        ErrorKind::internal, "matmul: {}{} with {}{}", a.shape(), transpose_a ? "^T" : "", b.shape(),
        transpose_b ? "^T" : "");
  for (int i = 0; i + 2 < a.rank(); ++i) {
    check(a.dim(i) == b.dim(i), ErrorKind::internal, "matmul: batches of {} and {}", a.shape(), b.shape());
  }
  const auto times = [compute](const Tensor& left, const Tensor& right, bool first, bool second) {
    return product(left, right, {first, second, /*accumulate=*/false, compute});
  };
  Tensor y = times(a, b, transpose_a, transpose_b);
  if (context.tape) {
    context.tape->record({a, b}, y, [=](const Tensor& dy) {
      Tensor da = transpose_a ? times(b, dy, transpose_b, true) : times(dy, b, false, !transpose_b);
      Tensor db = transpose_b ? times(dy, a, true, transpose_a) : times(a, dy, !transpose_a, false);
      return std::vector<Tensor>{da, db};
    });
  }
  return y;
}

}  // namespace dalle1::ops
