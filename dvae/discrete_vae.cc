#include "dvae/discrete_vae.h"

#include <algorithm>

#include "core/config/fields.h"
#include "core/ops/elementwise.h"
#include "core/ops/embedding.h"
#include "core/ops/movement.h"

namespace dalle1::dvae {
namespace {

constexpr Conv2dGeometry kHalving = {2, 1, 1, 1, 1};

}  // namespace

void DiscreteVaeConfig::visit(auto& self, auto& field) {
  constexpr int64_t widest = 1 << 16;
  field("kind", config::Constant{"discrete_vae"});
  field("channels", self.channels, config::within(1, 16));
  field("hidden", self.hidden, config::within(1, widest));
  field("codebook_dim", self.codebook_dim, config::within(1, widest));
  field("codes", self.codes, config::within(1, 1 << 20));
  field("layers", self.layers, config::within(1, 8));
  field("resnet_blocks", self.resnet_blocks, config::within(0, 64));
  field("mean", self.mean);
  field("std", self.deviation);
}

DiscreteVaeConfig DiscreteVaeConfig::from_json(const nlohmann::json& json) {
  return config::named("dVAE configuration", [&] {
    DiscreteVaeConfig c;
    config::read(json, c, {ErrorKind::model});
    const auto channels = static_cast<size_t>(c.channels);
    check(c.mean.size() == channels && c.deviation.size() == channels, ErrorKind::model,
          "'mean' and 'std' have {} and {} numbers for {} channels", c.mean.size(), c.deviation.size(),
          c.channels);
    check(std::ranges::all_of(c.deviation, [](float value) { return value > 0; }), ErrorKind::model,
          "'std' must be above 0");
    return c;
  });
}

nlohmann::json DiscreteVaeConfig::to_json() const { return config::write<nlohmann::json>(*this); }

DiscreteVae::DiscreteVae(Device& device, const DiscreteVaeConfig& c, const Precision& precision)
    : config_(c),
      activations_(precision.activations),
      codebook_(Tensor::zeros(device, {c.codes, c.codebook_dim})),
      encoder_(residuals(device, precision)),
      decoder_(residuals(device, precision)),
      to_codes_(nn::Conv2d::zeros(device, c.codes, c.hidden, 1)),
      to_pixels_(nn::Conv2d::zeros(device, c.channels, c.hidden, 1)) {
  const bool has_blocks = c.resnet_blocks > 0;
  if (has_blocks) from_codes_ = nn::Conv2d::zeros(device, c.hidden, c.codebook_dim, 1);
  for (int i = 0; i < c.layers; ++i) {
    down_.push_back(nn::Conv2d::zeros(device, c.hidden, i == 0 ? c.channels : c.hidden, 4, precision));
    const int64_t in = i > 0 || has_blocks ? c.hidden : c.codebook_dim;
    nn::Conv2d& up = up_.emplace_back(nn::Conv2d::zeros(device, in, c.hidden, 4, precision));
    up.bias = Tensor::zeros(device, {c.hidden});
  }
}

std::vector<DiscreteVae::Residual> DiscreteVae::residuals(Device& device, const Precision& precision) const {
  std::vector<Residual> blocks;
  const auto conv = [&](int kernel) {
    return nn::Conv2d::zeros(device, config_.hidden, config_.hidden, kernel, precision);
  };
  for (int i = 0; i < config_.resnet_blocks; ++i) blocks.push_back({conv(3), conv(3), conv(1)});
  return blocks;
}

Tensor DiscreteVae::Residual::forward(Context& context, const Tensor& x) const {
  const Tensor inner = second.forward_relu(context, first.forward_relu(context, x));
  auto options = last.same();
  options.residual = x;
  return last.forward(context, inner, options);
}

void DiscreteVae::Residual::visit(const std::string& prefix, const ParameterVisitor& visitor) {
  first.visit(prefix + ".net.0", visitor);
  second.visit(prefix + ".net.2", visitor);
  last.visit(prefix + ".net.4", visitor);
}

Tensor DiscreteVae::by_channel(Context& context, const Tensor& x, const std::vector<float>& scale,
                               const std::vector<float>& shift) const {
  const Shape shape{1, config_.channels, 1, 1};
  Device& device = codebook_.device();
  return ops::add(context, ops::mul(context, x, Tensor::from(device, shape, scale)),
                  Tensor::from(device, shape, shift));
}

Tensor DiscreteVae::encode(Context& context, const Tensor& images) {
  check(images.rank() == 4 && images.dim(1) == config_.channels, ErrorKind::internal,
        "dVAE: pictures of {} for an encoder of {} channels", images.shape(), config_.channels);
  check(images.dim(2) >= downsampling() && images.dim(3) >= downsampling(), ErrorKind::input,
        "a picture of {}x{} is smaller than one code of {}x{}", images.dim(3), images.dim(2), downsampling(),
        downsampling());
  std::vector<float> scale, shift;
  for (size_t c = 0; c < config_.mean.size(); ++c) {
    scale.push_back(1.0f / config_.deviation[c]);
    shift.push_back(-config_.mean[c] / config_.deviation[c]);
  }
  Tensor x = ops::cast(context, by_channel(context, images, scale, shift), activations_);
  for (const nn::Conv2d& layer : down_) {
    ops::Conv2dOptions options;
    options.geometry = kHalving;
    options.relu = true;
    x = layer.forward(context, x, options);
  }
  for (const Residual& block : encoder_) x = block.forward(context, x);
  return ops::to_plain(context, to_codes_.forward(context, ops::cast(context, x, DType::f32)));
}

Tensor DiscreteVae::decode_stats(Context& context, const Tensor& indices) {
  check(indices.rank() == 3 && indices.dtype() == DType::i64, ErrorKind::internal, "dVAE: indices of {} {}",
        name_of(indices.dtype()), indices.shape());
  Tensor x = ops::permute(context, ops::embedding(context, indices, codebook_), {0, 3, 1, 2});
  if (from_codes_.weight.defined()) x = from_codes_.forward(context, x);
  x = ops::cast(context, x, activations_);
  for (const Residual& block : decoder_) x = block.forward(context, x);
  for (const nn::Conv2d& layer : up_) {
    Conv2dGeometry geometry = kHalving;
    geometry.compute = layer.compute;
    x = ops::relu(context, ops::conv_transpose2d(context, x, layer.weight, layer.bias, geometry));
  }
  return ops::to_plain(context, to_pixels_.forward(context, ops::cast(context, x, DType::f32)));
}

Tensor DiscreteVae::image_of(Context& context, const Tensor& stats) {
  Context inference = context.untaped();
  const Tensor x = ops::relu(inference, by_channel(inference, stats, config_.deviation, config_.mean));
  // min(x, 1)
  return ops::sub(inference, x, ops::relu(inference, ops::affine(inference, x, 1.0f, -1.0f)));
}

void DiscreteVae::visit(const ParameterVisitor& visitor) {
  visitor("codebook.weight", codebook_);
  size_t at = 0;
  for (nn::Conv2d& layer : down_) layer.visit(fmt::format("encoder.{}.0", at++), visitor);
  for (Residual& block : encoder_) block.visit(fmt::format("encoder.{}", at++), visitor);
  to_codes_.visit(fmt::format("encoder.{}", at), visitor);
  at = 0;
  if (from_codes_.weight.defined()) from_codes_.visit(fmt::format("decoder.{}", at++), visitor);
  for (Residual& block : decoder_) block.visit(fmt::format("decoder.{}", at++), visitor);
  for (nn::Conv2d& layer : up_) layer.visit(fmt::format("decoder.{}.0", at++), visitor);
  to_pixels_.visit(fmt::format("decoder.{}", at), visitor);
}

}  // namespace dalle1::dvae
