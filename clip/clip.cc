#include "clip/clip.h"

#include <algorithm>
#include <cmath>

#include "core/nn/initialise.h"
#include "core/ops/elementwise.h"
#include "core/ops/embedding.h"
#include "core/ops/linear.h"
#include "core/ops/movement.h"
#include "core/ops/reduce.h"

namespace dalle1::clip {

Clip::Clip(const ClipConfig& config, Device& device, const Precision& precision)
    : config_(config.resolved()),
      compute_(precision.compute),
      vision_(config_.is_resnet() ? make_modified_resnet(config_, device, precision)
                                  : make_vision_transformer(config_, device, precision)),
      token_embedding_(Tensor::zeros(device, {config_.vocab_size, config_.transformer_width})),
      positional_embedding_(Tensor::zeros(device, {config_.context_length, config_.transformer_width})),
      ln_final_(nn::LayerNorm::identity(device, config_.transformer_width, 1e-5f, precision.activations)),
      text_projection_(
          Tensor::zeros(device, {config_.transformer_width, config_.embed_dim}, precision.parameters)),
      logit_scale_(Tensor::full(device, {}, std::log(1.0f / 0.07f))) {
  const BlockShape shape{config_.transformer_width, config_.transformer_heads, config_.transformer_mlp_width,
                         ops::activation_from_name(config_.activation)};
  for (int64_t i = 0; i < config_.transformer_layers; ++i) blocks_.emplace_back(device, shape, precision);
}

Tensor Clip::encode_images(Context& context, const Tensor& images) {
  return vision_->forward(context, images);
}

Tensor Clip::encode_texts(Context& context, const Tensor& ids) const {
  check(ids.rank() == 2 && ids.dim(1) <= config_.context_length, ErrorKind::internal,
        "encode_texts: ids {} for a context of {}", ids.shape(), config_.context_length);
  const int64_t batch = ids.dim(0), length = ids.dim(1), width = config_.transformer_width;
  const Tensor positions = ops::slice(context, positional_embedding_, 0, 0, length);
  Tensor x = ops::add(context, ops::embedding(context, ids, token_embedding_), positions);
  const auto pattern = AttentionPattern::causal(static_cast<int32_t>(length));
  for (const auto& block : blocks_) x = block.forward(context, x, pattern);
  x = ln_final_.forward(context, x);
  // The feature of a text is that of its end token.
  const std::vector<int64_t> values = ids.to_ints();
  std::vector<int64_t> ends;
  for (int64_t b = 0; b < batch; ++b) {
    const auto row = values.begin() + b * length;
    const auto end = config_.end_token < 0 ? std::max_element(row, row + length)
                                           : std::find(row, row + length, config_.end_token);
    check(end != row + length, ErrorKind::input, "text {} has no end token", b);
    ends.push_back(b * length + (end - row));
  }
  const Tensor picked = Tensor::from(*context.device, {batch}, ends);
  const Tensor feature = ops::embedding(context, picked, ops::reshape(context, x, {batch * length, width}));
  return ops::linear_fused(context, feature, ops::permute(context, text_projection_, {1, 0}), {}, {},
                           DType::f32, compute_);
}

float Clip::scale() const { return std::exp(logit_scale_.item()); }

void Clip::visit(const ParameterVisitor& visitor) {
  visitor("positional_embedding", positional_embedding_);
  visitor("text_projection", text_projection_);
  visitor("logit_scale", logit_scale_);
  vision_->visit([&](const std::string& name, Tensor& tensor) { visitor("visual." + name, tensor); });
  for (size_t i = 0; i < blocks_.size(); ++i) {
    blocks_[i].visit(fmt::format("transformer.resblocks.{}", i), visitor);
  }
  visitor("token_embedding.weight", token_embedding_);
  ln_final_.visit("ln_final", visitor);
}

void Clip::prepare() {
  vision_->prepare();
  for (ResidualAttentionBlock& block : blocks_) block.prepare();
}

namespace {

// The deviation of a parameter's first values, by its name; 0: it stays as constructed.
float initial_deviation(const std::string& name, const Tensor& tensor, const ClipConfig& config) {
  const bool table = name.ends_with("embedding") || name.ends_with("embedding.weight");
  if (tensor.rank() < 2 && !table) return 0.0f;
  const bool visual = name.starts_with("visual.");
  auto over_root = [](float numerator, int64_t n) { return numerator / std::sqrt(static_cast<float>(n)); };
  if (table) return visual ? over_root(1.0f, tensor.dim(-1)) : 0.02f;
  if (name.ends_with("proj")) return over_root(1.0f, tensor.dim(0));  // applied from the right
  const int64_t inputs = tensor.numel() / tensor.dim(0);
  // Nothing normalises the activations of the ResNet in training: its convolutions keep their variance
  // through ReLU (He et al. 2015, equation 10).
  if (visual && config.is_resnet() && tensor.rank() == 4) return over_root(std::sqrt(2.0f), inputs);
  const bool ends_branch = name.ends_with("out_proj.weight") || name.ends_with("mlp.c_proj.weight");
  return over_root(1.0f, ends_branch ? inputs * 2 * config.transformer_layers : inputs);
}

}  // namespace

void Clip::initialise(uint64_t seed) {
  uint32_t index = 0;
  visit([&](const std::string& name, Tensor& tensor) {
    ++index;
    const bool ends_branch = name.ends_with("bn3.weight") && name != "visual.bn3.weight";
    const float deviation = ends_branch ? 0.0f : initial_deviation(name, tensor, config_);
    if (deviation == 0.0f && !ends_branch) return;
    nn::fill_normal(tensor, deviation, seed, index);
  });
}

Tensor cosines(const Tensor& image_features, const Tensor& text_features) {
  Context context(image_features.device());
  return ops::linear(context, ops::l2_normalise(context, image_features),
                     ops::l2_normalise(context, text_features));
}

}  // namespace dalle1::clip
