#include "dvae/vqgan_layers.h"

#include <cmath>

#include "core/ops/attention.h"
#include "core/ops/elementwise.h"
#include "core/ops/group_norm.h"
#include "core/ops/movement.h"

namespace dalle1::dvae {

constexpr int kGroups = 32;
constexpr float kEpsilon = 1e-6f;

GroupNormLayer::GroupNormLayer(Device& device, int64_t channels)
    : weight(Tensor::full(device, {channels}, 1.0f)), bias(Tensor::zeros(device, {channels})) {
  check(channels % kGroups == 0, ErrorKind::model, "VQGAN: a width of {} is not a multiple of {}", channels,
        kGroups);
}

Tensor GroupNormLayer::operator()(Context& context, const Tensor& x) const {
  return ops::group_norm(context, x, weight, bias, kGroups, kEpsilon);
}

Tensor GroupNormLayer::with_swish(Context& context, const Tensor& x) const {
  return ops::unary(context, Unary::silu, (*this)(context, x));
}

void GroupNormLayer::visit(const std::string& prefix, const ParameterVisitor& visitor) {
  visitor(prefix + ".weight", weight);
  visitor(prefix + ".bias", bias);
}

ResnetBlock::ResnetBlock(Device& device, int64_t in, int64_t out, DType dtype)
    : norm1_(device, in),
      norm2_(device, out),
      conv1_(device, in, out, 3, dtype),
      conv2_(device, out, out, 3, dtype) {
  if (in != out) shortcut_.emplace(device, in, out, 1, dtype);
}

Tensor ResnetBlock::forward(Context& context, const Tensor& x) const {
  const Tensor hidden = conv1_(context, norm1_.with_swish(context, x));
  ops::Conv2dOptions options = conv2_.same();
  options.residual = shortcut_ ? (*shortcut_)(context, x) : x;
  return conv2_(context, norm2_.with_swish(context, hidden), options);
}

void ResnetBlock::visit(const std::string& prefix, const ParameterVisitor& visitor) {
  norm1_.visit(prefix + ".norm1", visitor);
  conv1_.visit(prefix + ".conv1.weight", prefix + ".conv1.bias", visitor);
  norm2_.visit(prefix + ".norm2", visitor);
  conv2_.visit(prefix + ".conv2.weight", prefix + ".conv2.bias", visitor);
  if (shortcut_) shortcut_->visit(prefix + ".nin_shortcut.weight", prefix + ".nin_shortcut.bias", visitor);
}

AttentionBlock::AttentionBlock(Device& device, int64_t channels, DType dtype)
    : norm_(device, channels),
      q_(device, channels, channels, 1, dtype),
      k_(device, channels, channels, 1, dtype),
      v_(device, channels, channels, 1, dtype),
      output_(device, channels, channels, 1, dtype) {}

Tensor AttentionBlock::forward(Context& context, const Tensor& x) const {
  const int64_t batch = x.dim(0), channels = x.dim(1), pixels = x.dim(2) * x.dim(3);
  const Tensor normalised = norm_(context, x);
  const auto rows = [&](const ConvLayer& projection) {  // [B, pixels, 1, C]
    const Tensor y = ops::permute(context, projection(context, normalised), {0, 2, 3, 1});
    return ops::reshape(context, y, {batch, pixels, 1, channels});
  };
  const Tensor mixed = ops::attention(context, rows(q_), rows(k_), rows(v_),
                                      AttentionPattern::full(static_cast<int32_t>(pixels)),
                                      1.0f / std::sqrt(static_cast<float>(channels)));
  const Tensor picture = ops::permute(
      context, ops::reshape(context, mixed, {batch, x.dim(2), x.dim(3), channels}), {0, 3, 1, 2});
  ops::Conv2dOptions options = output_.same();
  options.residual = x;
  return output_(context, picture, options);
}

void AttentionBlock::visit(const std::string& prefix, const ParameterVisitor& visitor) {
  norm_.visit(prefix + ".norm", visitor);
  q_.visit(prefix + ".q.weight", prefix + ".q.bias", visitor);
  k_.visit(prefix + ".k.weight", prefix + ".k.bias", visitor);
  v_.visit(prefix + ".v.weight", prefix + ".v.bias", visitor);
  output_.visit(prefix + ".proj_out.weight", prefix + ".proj_out.bias", visitor);
}

Tensor downsample(Context& context, const ConvLayer& conv, const Tensor& x) {
  ops::Conv2dOptions options;
  options.geometry = {2, 0, 0, 1, 1};
  return conv(context, x, options);
}

}  // namespace dalle1::dvae
