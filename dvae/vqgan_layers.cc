#include "dvae/vqgan_layers.h"

#include <cmath>

#include "core/ops/attention.h"
#include "core/ops/elementwise.h"
#include "core/ops/movement.h"

namespace dalle1::dvae {

Tensor norm_swish(Context& context, const nn::GroupNorm& norm, const Tensor& x) {
  return ops::unary(context, Unary::silu, norm.forward(context, x));
}

ResnetBlock::ResnetBlock(Device& device, int64_t in, int64_t out, const Precision& precision)
    : norm1_(nn::GroupNorm::identity(device, in)),
      norm2_(nn::GroupNorm::identity(device, out)),
      conv1_(nn::Conv2d::zeros(device, out, in, 3, precision)),
      conv2_(nn::Conv2d::zeros(device, out, out, 3, precision)) {
  if (in != out) shortcut_ = nn::Conv2d::zeros(device, out, in, 1, precision);
}

Tensor ResnetBlock::forward(Context& context, const Tensor& x) const {
  const Tensor hidden = conv1_.forward(context, norm_swish(context, norm1_, x));
  ops::Conv2dOptions options = conv2_.same();
  options.residual = shortcut_ ? shortcut_->forward(context, x) : x;
  return conv2_.forward(context, norm_swish(context, norm2_, hidden), options);
}

void ResnetBlock::visit(const std::string& prefix, const ParameterVisitor& visitor) {
  norm1_.visit(prefix + ".norm1", visitor);
  conv1_.visit(prefix + ".conv1.weight", prefix + ".conv1.bias", visitor);
  norm2_.visit(prefix + ".norm2", visitor);
  conv2_.visit(prefix + ".conv2.weight", prefix + ".conv2.bias", visitor);
  if (shortcut_) shortcut_->visit(prefix + ".nin_shortcut.weight", prefix + ".nin_shortcut.bias", visitor);
}

AttentionBlock::AttentionBlock(Device& device, int64_t channels, const Precision& precision)
    : norm_(nn::GroupNorm::identity(device, channels)),
      q_(nn::Conv2d::zeros(device, channels, channels, 1, precision)),
      k_(nn::Conv2d::zeros(device, channels, channels, 1, precision)),
      v_(nn::Conv2d::zeros(device, channels, channels, 1, precision)),
      output_(nn::Conv2d::zeros(device, channels, channels, 1, precision)) {}

Tensor AttentionBlock::forward(Context& context, const Tensor& x) const {
  const int64_t batch = x.dim(0), channels = x.dim(1), pixels = x.dim(2) * x.dim(3);
  const Tensor normalised = norm_.forward(context, x);
  const auto rows = [&](const nn::Conv2d& projection) {  // [B, pixels, 1, C]
    const Tensor y = ops::permute(context, projection.forward(context, normalised), {0, 2, 3, 1});
    return ops::reshape(context, y, {batch, pixels, 1, channels});
  };
  const Tensor mixed = ops::attention(context, rows(q_), rows(k_), rows(v_),
                                      AttentionPattern::full(static_cast<int32_t>(pixels)),
                                      1.0f / std::sqrt(static_cast<float>(channels)), q_.compute);
  const Tensor picture = ops::permute(
      context, ops::reshape(context, mixed, {batch, x.dim(2), x.dim(3), channels}), {0, 3, 1, 2});
  ops::Conv2dOptions options = output_.same();
  options.residual = x;
  return output_.forward(context, picture, options);
}

void AttentionBlock::visit(const std::string& prefix, const ParameterVisitor& visitor) {
  norm_.visit(prefix + ".norm", visitor);
  q_.visit(prefix + ".q.weight", prefix + ".q.bias", visitor);
  k_.visit(prefix + ".k.weight", prefix + ".k.bias", visitor);
  v_.visit(prefix + ".v.weight", prefix + ".v.bias", visitor);
  output_.visit(prefix + ".proj_out.weight", prefix + ".proj_out.bias", visitor);
}

Tensor downsample(Context& context, const nn::Conv2d& conv, const Tensor& x) {
  ops::Conv2dOptions options;
  options.geometry = {2, 0, 0, 1, 1};
  return conv.forward(context, x, options);
}

}  // namespace dalle1::dvae
