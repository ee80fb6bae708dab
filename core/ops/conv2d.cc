#include "core/ops/conv2d.h"

#include "core/grad/tape.h"
#include "core/kernels/kernels.h"
#include "core/ops/elementwise.h"
#include "core/ops/layout.h"
#include "core/ops/movement.h"

namespace dalle1::ops {
namespace {

// Extent of a convolution's output along one axis.
int64_t output_extent(int64_t input, int64_t kernel, int before, int after, int stride) {
  const int64_t padded = input + before + after;
  check(padded >= kernel, ErrorKind::input,
        "conv2d: {} pixels with padding {} and {} are fewer than the kernel's {}", input, before, after,
        kernel);
  return (padded - kernel) / stride + 1;
}

void check_operands(const char* op, const Tensor& x, const Tensor& w, int64_t w_in, const Tensor& bias,
                    int64_t out, const Conv2dGeometry& g) {
  const bool fits = x.rank() == 4 && w.rank() == 4 && x.dim(1) == w_in && x.numel() > 0 && w.numel() > 0 &&
                    (!bias.defined() || bias.shape() == Shape({out}));
  if (!fits)
    fail(ErrorKind::internal, "{}: x {} with weight {} and bias {}", op, x.shape(), w.shape(),
         bias.defined() ? fmt::format("{}", bias.shape()) : "none");
  check(g.stride >= 1 && std::min({g.pad_top, g.pad_left, g.pad_bottom, g.pad_right}) >= 0,
        ErrorKind::internal, "{}: stride {} with padding {}, {}, {}, {}", op, g.stride, g.pad_top, g.pad_left,
        g.pad_bottom, g.pad_right);
}

// Few channels stay plain; blocked inputs stay blocked.
Tensor suitable_input(Context& context, const Tensor& x) {
  return x.layout() == Layout::plain ? to_layout(context, x, x.kernels().preferred_layout(x.dim(1))) : x;
}

Layout output_layout(const Tensor& x, int64_t channels) {
  return x.layout() == Layout::plain ? x.kernels().preferred_layout(channels) : x.layout();
}

Tensor times_gain(const Tensor& x, float scale) {
  if (scale == 1.0f) return x;
  Tensor y = empty_like(x);
  x.kernels().affine(x, scale, 0.0f, y);
  return y;
}

/// What the backward of y = residual + gain * conv(x) keeps.
struct SavedConv {
  Tensor x, w;
  Tensor activated;  // y, if ReLU was applied
  Layout layout;     // of y
  Conv2dGeometry geometry;
  float gain;
  bool dx, dw, dbias, dresidual;  // which gradients are wanted

  // In the order of {x, w, bias, residual}. The gain is applied to the weights, which are small.
  std::vector<Tensor> backward(const Tensor& gradient) const {
    Kernels& kernels = x.kernels();
    Tensor dy = in_layout(gradient.to(x.dtype()), layout);
    if (activated.defined()) {
      Tensor masked = empty_like(dy);
      kernels.unary_backward(Unary::relu, activated, dy, masked);
      dy = masked;
    }
    std::vector<Tensor> result(4);
    if (dx) {
      result[0] = empty_like(x);
      kernels.conv2d_backward_data(dy, times_gain(w, gain), geometry, result[0]);
    }
    if (dw || dbias) {
      Tensor weights = Tensor::empty(x.device(), w.shape());
      Tensor bias = dbias ? Tensor::empty(x.device(), {w.dim(0)}) : Tensor();
      kernels.conv2d_backward_weights({x, dy, geometry, weights, dbias ? &bias : nullptr});
      if (dw) result[1] = times_gain(weights, gain);
      if (dbias) result[2] = times_gain(bias, gain);
    }
    if (dresidual) result[3] = dy;
    return result;
  }
};

}  // namespace

Tensor conv2d(Context& context, const Tensor& x, const Tensor& w, const Tensor& bias,
              const Conv2dOptions& options) {
  const Conv2dGeometry& g = options.geometry;
  check_operands("conv2d", x, w, w.dim(1), bias, w.dim(0), g);
  const Shape shape{x.dim(0), w.dim(0), output_extent(x.dim(2), w.dim(2), g.pad_top, g.pad_bottom, g.stride),
                    output_extent(x.dim(3), w.dim(3), g.pad_left, g.pad_right, g.stride)};
  const Tensor input = suitable_input(context, x);
  Tensor y = Tensor::empty(x.device(), shape, x.dtype(), output_layout(input, w.dim(0)));
  Tensor residual;
  Conv2dEpilogue epilogue{nullptr, options.gain, options.relu};
  if (options.residual.defined()) {
    check(options.residual.shape() == shape, ErrorKind::internal, "conv2d: residual {} for a result of {}",
          options.residual.shape(), shape);
    residual = to_layout(context, options.residual, y.layout());
    epilogue.residual = &residual;
  }
  x.kernels().conv2d({input, w, bias.defined() ? &bias : nullptr, g, epilogue, y});
  if (context.tape) {
    const Tape& tape = *context.tape;
    SavedConv saved{input,
                    w,
                    options.relu ? y : Tensor(),
                    y.layout(),
                    g,
                    options.gain,
                    tape.tracks(input),
                    tape.tracks(w),
                    tape.tracks(bias),
                    tape.tracks(residual)};
    context.tape->record({input, w, bias, residual}, y,
                         [saved = std::move(saved)](const Tensor& dy) { return saved.backward(dy); });
  }
  return y;
}

Tensor conv_transpose2d(Context& context, const Tensor& x, const Tensor& w, const Tensor& bias,
                        const Conv2dGeometry& g) {
  check_operands("conv_transpose2d", x, w, w.dim(0), bias, w.dim(1), g);
  const int64_t height = (x.dim(2) - 1) * g.stride + w.dim(2) - g.pad_top - g.pad_bottom;
  const int64_t width = (x.dim(3) - 1) * g.stride + w.dim(3) - g.pad_left - g.pad_right;
  check(height > 0 && width > 0, ErrorKind::input, "conv_transpose2d: {} is cropped to nothing", x.shape());
  const Tensor input = suitable_input(context, x);
  Tensor y = Tensor::empty(x.device(), {x.dim(0), w.dim(1), height, width}, x.dtype(),
                           output_layout(input, w.dim(1)));
  x.kernels().conv2d_backward_data(input, w, g, y);
  if (context.tape) {
    context.tape->record({input, w}, y, [input, w, g, layout = y.layout()](const Tensor& gradient) {
      const Tensor dy = in_layout(gradient, layout);
      Tensor dx = empty_like(input), dw = Tensor::empty(w.device(), w.shape());
      w.kernels().conv2d({dy, w, nullptr, g, {}, dx});
      w.kernels().conv2d_backward_weights({dy, input, g, dw, nullptr});
      return std::vector<Tensor>{dx, dw};
    });
  }
  if (!bias.defined()) return y;
  return add(context, to_plain(context, y), reshape(context, bias, {1, bias.dim(0), 1, 1}));
}

}  // namespace dalle1::ops
