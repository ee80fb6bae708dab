#include "dvae/openai_dvae.h"

#include <algorithm>
#include <cmath>

#include "core/config/fields.h"
#include "core/nn/initialise.h"
#include "core/ops/argmax.h"
#include "core/ops/elementwise.h"
#include "core/ops/embedding.h"
#include "core/ops/layout.h"
#include "core/ops/logit_laplace.h"
#include "core/ops/movement.h"
#include "core/ops/pool.h"
#include "core/ops/upsample.h"

namespace dalle1::dvae {

void OpenAiConfig::visit(auto& self, auto& field) {
  constexpr int64_t widest = 1 << 16;
  field("kind", config::Constant{"openai"});
  field("hidden", self.hidden, config::within(4, widest));
  field("decoder_init", self.decoder_init, config::within(1, widest));
  field("groups", self.groups, config::within(1, 8));
  field("blocks_per_group", self.blocks_per_group, config::within(1, 64));
  field("codes", self.codes, config::within(1, 1 << 20));
  field("channels", self.channels, config::within(1, 16));
  const auto channels = static_cast<double>(self.channels);
  field("output_channels", self.output_channels, config::within(channels, 64), 2 * self.channels);
  const int layers = self.groups * self.blocks_per_group;
  field("post_gain", self.post_gain, {.null_when = false}, 1.0f / static_cast<float>(layers * layers));
  field("quantiser", self.quantiser);
  field("pixel_map", config::Constant{"logit_laplace"});
  field("half", config::Constant{});  // of a checkpoint that is the encoder or decoder alone
}

OpenAiConfig OpenAiConfig::from_json(const nlohmann::json& json) {
  return config::named("dVAE configuration", [&] {
    OpenAiConfig c;
    config::read(json, c, {ErrorKind::model});
    check(c.hidden % 4 == 0, ErrorKind::model, "'hidden' is {}, not a multiple of 4", c.hidden);
    return c;
  });
}

nlohmann::json OpenAiConfig::to_json() const { return config::write<nlohmann::json>(*this); }

ResidualBlock::ResidualBlock(Device& device, int64_t in, int64_t out, const std::vector<int>& kernels,
                             float post_gain, const Precision& precision)
    : post_gain_(post_gain) {
  if (in != out) shortcut_ = nn::Conv2d::zeros(device, out, in, 1, precision);
  const int64_t narrow = out / 4;
  for (size_t i = 0; i < kernels.size(); ++i) {
    path_.push_back(nn::Conv2d::zeros(device, i + 1 == kernels.size() ? out : narrow, i == 0 ? in : narrow,
                                      kernels[i], precision));
  }
}

Tensor ResidualBlock::forward(Context& context, const Tensor& x) const {
  Tensor y = ops::relu(context, x);
  for (size_t i = 0; i + 1 < path_.size(); ++i) y = path_[i].forward_relu(context, y);
  ops::Conv2dOptions last = path_.back().same();
  last.residual = shortcut_ ? shortcut_->forward(context, x) : x;
  last.gain = post_gain_;
  return path_.back().forward(context, y, last);
}

void ResidualBlock::visit(const std::string& prefix, const ParameterVisitor& visitor) {
  if (shortcut_) shortcut_->visit(prefix + ".id_path.w", prefix + ".id_path.b", visitor);
  for (size_t i = 0; i < path_.size(); ++i) {
    const std::string name = fmt::format("{}.res_path.conv_{}", prefix, i + 1);
    path_[i].visit(name + ".w", name + ".b", visitor);
  }
}

OpenAiDvae::OpenAiDvae(Device& device, const OpenAiConfig& c, const Precision& precision)
    : config_(c),
      precision_(precision),
      encoder_input_(nn::Conv2d::zeros(device, c.hidden, c.channels, 7, precision)),
      encoder_output_(nn::Conv2d::zeros(device, c.codes, c.hidden << (c.groups - 1), 1)),
      decoder_input_(nn::Conv2d::zeros(device, c.decoder_init, c.codes, 1)),
      decoder_output_(nn::Conv2d::zeros(device, c.output_channels, c.hidden, 1)) {
  code_rows_ = encoder_output_.weight.view({c.codes, encoder_output_.weight.dim(1)});
  const auto add_group = [&](std::vector<Group>& groups, int64_t in, int64_t out,
                             const std::vector<int>& kernels) {
    Group& group = groups.emplace_back();
    for (int i = 0; i < c.blocks_per_group; ++i) {
      group.emplace_back(device, i == 0 ? in : out, out, kernels, c.post_gain, precision);
    }
  };
  int64_t width = c.hidden;
  for (int g = 0; g < c.groups; ++g) {
    add_group(encoder_groups_, width, c.hidden << g, {3, 3, 3, 1});
    width = c.hidden << g;
  }
  width = c.decoder_init;
  for (int g = c.groups - 1; g >= 0; --g) {
    add_group(decoder_groups_, width, c.hidden << g, {1, 3, 3, 3});
    width = c.hidden << g;
  }
}

Tensor OpenAiDvae::encode_features(Context& context, const Tensor& images) {
  check(images.rank() == 4 && images.dim(1) == config_.channels, ErrorKind::internal,
        "dVAE: pictures of {} for an encoder of {} channels", images.shape(), config_.channels);
  check(images.dim(2) >= downsampling() && images.dim(3) >= downsampling(), ErrorKind::input,
        "a picture of {}x{} is smaller than one code of {}x{}", images.dim(3), images.dim(2), downsampling(),
        downsampling());
  Tensor x = encoder_input_.forward(
      context, ops::cast(context, ops::map_pixels(context, images), precision_.activations));
  for (size_t g = 0; g < encoder_groups_.size(); ++g) {
    if (g > 0) x = ops::max_pool(context, x);
    for (const ResidualBlock& block : encoder_groups_[g]) x = block.forward(context, x);
  }
  return ops::cast(context, ops::relu(context, x), DType::f32);
}

Tensor OpenAiDvae::logits_of(Context& context, const Tensor& features) {
  return ops::to_plain(context, encoder_output_.forward(context, features));
}

Tensor OpenAiDvae::encode(Context& context, const Tensor& images) {
  return logits_of(context, encode_features(context, images));
}

Tensor OpenAiDvae::encode_indices(Context& context, const Tensor& images) {
  Context inference = context.untaped();
  const Tensor features = ops::permute(inference, encode_features(inference, images), {0, 2, 3, 1});
  const Tensor rows = features.view({features.numel() / features.dim(3), features.dim(3)});
  const auto best = ops::linear_argmax(rows, code_rows_, encoder_output_.bias);
  check(ops::all_finite(best.values), ErrorKind::model, "the encoder's logits are not finite");
  return best.indices.view({features.dim(0), features.dim(1), features.dim(2)});
}

Tensor OpenAiDvae::code_table(Context& context) {
  const auto make = [&] {
    const Tensor w = ops::reshape(context, decoder_input_.weight, {config_.decoder_init, config_.codes});
    return ops::add(context, ops::permute(context, w, {1, 0}), decoder_input_.bias);
  };
  if (context.tape) return make();
  const uint64_t version = decoder_input_.weight.version() + decoder_input_.bias.version() + 1;
  if (table_version_ != version || &table_.device() != context.device) {
    table_ = make();
    table_version_ = version;
  }
  return table_;
}

Tensor OpenAiDvae::decode_stats(Context& context, const Tensor& indices) {
  check(indices.rank() == 3 && indices.dtype() == DType::i64, ErrorKind::internal, "dVAE: indices of {} {}",
        name_of(indices.dtype()), indices.shape());
  // A 1x1 convolution of one-hot codes is a look-up.
  const Tensor rows = ops::embedding(context, indices, code_table(context));
  return decode_features(context, ops::permute(context, rows, {0, 3, 1, 2}));
}

Tensor OpenAiDvae::decode_features(Context& context, const Tensor& features) {
  // Once, before both paths of the first block read it.
  Tensor x = ops::to_fastest_layout(context, ops::cast(context, features, precision_.activations));
  for (size_t g = 0; g < decoder_groups_.size(); ++g) {
    if (g > 0) x = ops::upsample(context, x);
    for (const ResidualBlock& block : decoder_groups_[g]) x = block.forward(context, x);
  }
  const Tensor last = ops::cast(context, ops::relu(context, x), DType::f32);
  return ops::to_plain(context, decoder_output_.forward(context, last));
}

Tensor OpenAiDvae::image_of(Context& context, const Tensor& stats) {
  Context inference = context.untaped();
  return ops::unmap_pixels(ops::sigmoid(inference, ops::slice(inference, stats, 1, 0, config_.channels)));
}

void OpenAiDvae::visit(const ParameterVisitor& visitor) {
  const auto visit_groups = [&](const std::string& part, std::vector<Group>& groups) {
    for (size_t g = 0; g < groups.size(); ++g) {
      for (size_t b = 0; b < groups[g].size(); ++b) {
        groups[g][b].visit(fmt::format("{}.blocks.group_{}.block_{}", part, g + 1, b + 1), visitor);
      }
    }
  };
  encoder_input_.visit("encoder.blocks.input.w", "encoder.blocks.input.b", visitor);
  visit_groups("encoder", encoder_groups_);
  encoder_output_.visit("encoder.blocks.output.conv.w", "encoder.blocks.output.conv.b", visitor);
  decoder_input_.visit("decoder.blocks.input.w", "decoder.blocks.input.b", visitor);
  visit_groups("decoder", decoder_groups_);
  decoder_output_.visit("decoder.blocks.output.conv.w", "decoder.blocks.output.conv.b", visitor);
}

void initialise(OpenAiDvae& model, uint64_t seed) {
  uint32_t index = 0;
  model.visit([&](const std::string& name, Tensor& parameter) {
    ++index;
    if (parameter.rank() != 4) return;  // biases stay zero
    const bool linear = name.ends_with("input.w") || name.find("id_path") != name.npos;
    // One code at a time goes through the look-up: its fan-in is 1.
    const int64_t fan_in = name == "decoder.blocks.input.w" ? 1 : parameter.numel() / parameter.dim(0);
    const float scale = std::sqrt((linear ? 1.0f : 2.0f) / static_cast<float>(fan_in));
    nn::fill_normal(parameter, scale, seed, index);
  });
}

}  // namespace dalle1::dvae
