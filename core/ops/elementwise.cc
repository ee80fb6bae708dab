#include "core/ops/elementwise.h"

#include <fmt/ranges.h>

#include <utility>
#include <vector>

#include "core/grad/tape.h"
#include "core/kernels/kernels.h"
#include "core/ops/layout.h"
#include "core/ops/reduce.h"

namespace dalle1::ops {
namespace {

Tensor apply(Binary op, const Tensor& a, const Tensor& b) {
  Kernels& kernels = a.kernels();
  if (a.shape() == b.shape()) {
    Tensor y = empty_like(a);
    kernels.binary(op, a, in_layout(b, a.layout()), y);
    return y;
  }
  Tensor y = Tensor::empty(a.device(), broadcast(a.shape(), b.shape(), "binary op"), a.dtype());
  check(a.layout() == Layout::plain && b.layout() == Layout::plain, ErrorKind::internal,
        "broadcasting {} with {} needs plain tensors", a.shape(), b.shape());
  kernels.binary(op, a, b, y);
  return y;
}

Tensor scaled(const Tensor& x, float scale) {
  Tensor y = empty_like(x);
  x.kernels().affine(x, scale, 0.0f, y);
  return y;
}

}  // namespace

Tensor unary(Context& context, Unary op, const Tensor& x) {
  Tensor y = empty_like(x);
  x.kernels().unary(op, x, y);
  if (context.tape) {
    context.tape->record({x}, y, [op, x](const Tensor& dy) {
      Tensor dx = empty_like(x);
      x.kernels().unary_backward(op, x, in_layout(dy, x.layout()), dx);
      return std::vector<Tensor>{dx};
    });
  }
  return y;
}

Unary activation_from_name(std::string_view name) {
  constexpr std::pair<std::string_view, Unary> known[] = {
      {"relu", Unary::relu},           {"relu_squared", Unary::relu_squared}, {"gelu", Unary::gelu},
      {"gelu_tanh", Unary::gelu_tanh}, {"quick_gelu", Unary::quick_gelu},     {"silu", Unary::silu}};
  std::vector<std::string_view> names;
  for (const auto& [each, op] : known) {
    if (name == each) return op;
    names.push_back(each);
  }
  fail(ErrorKind::model, "unknown activation '{}'; use one of {}", name, fmt::join(names, ", "));
}

Tensor add(Context& context, const Tensor& a, const Tensor& b) {
  Tensor y = apply(Binary::add, a, b);
  if (context.tape) {
    context.tape->record({a, b}, y, [shape_a = a.shape(), shape_b = b.shape()](const Tensor& dy) {
      return std::vector<Tensor>{reduced_to(dy, shape_a), reduced_to(dy, shape_b)};
    });
  }
  return y;
}

Tensor sub(Context& context, const Tensor& a, const Tensor& b) {
  Tensor y = apply(Binary::sub, a, b);
  if (context.tape) {
    context.tape->record({a, b}, y, [shape_a = a.shape(), shape_b = b.shape()](const Tensor& dy) {
      return std::vector<Tensor>{reduced_to(dy, shape_a), reduced_to(scaled(dy, -1.0f), shape_b)};
    });
  }
  return y;
}

Tensor mul(Context& context, const Tensor& a, const Tensor& b) {
  Tensor y = apply(Binary::mul, a, b);
  if (context.tape) {
    context.tape->record(
        {a, b}, y,
        [a, b, need_a = context.tape->tracks(a), need_b = context.tape->tracks(b)](const Tensor& dy) {
          return std::vector<Tensor>{need_a ? reduced_to(apply(Binary::mul, dy, b), a.shape()) : Tensor(),
                                     need_b ? reduced_to(apply(Binary::mul, dy, a), b.shape()) : Tensor()};
        });
  }
  return y;
}

Tensor div(Context& context, const Tensor& a, const Tensor& b) {
  Tensor y = apply(Binary::div, a, b);
  if (context.tape) {
    context.tape->record({a, b}, y, [a, b, y](const Tensor& dy) {
      Tensor da = apply(Binary::div, dy, b);
      Tensor db = scaled(apply(Binary::mul, da, y), -1.0f);
      return std::vector<Tensor>{reduced_to(da, a.shape()), reduced_to(db, b.shape())};
    });
  }
  return y;
}

Tensor maximum(Context& context, const Tensor& a, const Tensor& b) {
  check(a.shape() == b.shape(), ErrorKind::internal, "maximum: shapes {} and {} differ", a.shape(),
        b.shape());
  Tensor y = apply(Binary::max, a, b);
  if (context.tape) {
    context.tape->record({a, b}, y, [a, b](const Tensor& dy) {
      Tensor mask = empty_like(a);
      a.kernels().greater_equal(a, b, mask);
      Tensor da = apply(Binary::mul, dy, mask);
      return std::vector<Tensor>{da, apply(Binary::sub, dy, da)};
    });
  }
  return y;
}

Tensor affine(Context& context, const Tensor& x, float scale, float shift) {
  Tensor y = empty_like(x);
  x.kernels().affine(x, scale, shift, y);
  if (context.tape) {
    context.tape->record({x}, y,
                         [scale](const Tensor& dy) { return std::vector<Tensor>{scaled(dy, scale)}; });
  }
  return y;
}

Tensor cast(Context& context, const Tensor& x, DType type) {
  if (x.dtype() == type) return x;
  Tensor y = x.to(type);
  if (context.tape) {
    context.tape->record({x}, y,
                         [from = x.dtype()](const Tensor& dy) { return std::vector<Tensor>{dy.to(from)}; });
  }
  return y;
}

Tensor straight_through(Context& context, const Tensor& hard, const Tensor& soft) {
  check(hard.shape() == soft.shape(), ErrorKind::internal, "straight_through: shapes {} and {} differ",
        hard.shape(), soft.shape());
  Tensor y = hard.detach();
  if (context.tape) {
    context.tape->record({soft}, y, [](const Tensor& dy) { return std::vector<Tensor>{dy}; });
  }
  return y;
}

Tensor dropout(Context& context, const Tensor& x, float p, uint32_t place) {
  check(p >= 0.0f && p < 1.0f, ErrorKind::usage, "dropout probability {} is not in [0, 1)", p);
  if (!context.training || p == 0.0f) return x;
  Tensor noise = Tensor::empty(x.device(), x.shape());
  x.kernels().uniform({context.seed, Stream::dropout, place, static_cast<uint32_t>(context.step)}, noise);
  Tensor threshold = Tensor::empty(x.device(), x.shape());
  x.kernels().fill(threshold, p);
  Tensor mask = Tensor::empty(x.device(), x.shape());
  x.kernels().greater_equal(noise, threshold, mask);
  x.kernels().affine(mask, 1.0f / (1.0f - p), 0.0f, noise);
  return mul(context, x, noise);
}

}  // namespace dalle1::ops
