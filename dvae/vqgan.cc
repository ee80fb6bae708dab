#include "dvae/vqgan.h"

#include <algorithm>

#include "core/config/fields.h"
#include "core/ops/elementwise.h"
#include "core/ops/embedding.h"
#include "core/ops/haar.h"
#include "core/ops/movement.h"
#include "core/ops/upsample.h"
#include "dvae/vqgan_layers.h"

namespace dalle1::dvae {
namespace {

/// One resolution: its blocks, with attention after each where the configuration asks for it, and the
/// convolution that changes the resolution.
struct Level {
  std::vector<ResnetBlock> blocks;
  std::vector<AttentionBlock> attention;  // as many as blocks, or none
  std::optional<nn::Conv2d> resample;

  Tensor forward(Context& context, Tensor x) const {
    for (size_t i = 0; i < blocks.size(); ++i) {
      x = blocks[i].forward(context, x);
      if (!attention.empty()) x = attention[i].forward(context, x);
    }
    return x;
  }
  void visit(const std::string& prefix, const std::string& resample_name, const ParameterVisitor& visitor) {
    for (size_t i = 0; i < blocks.size(); ++i)
      blocks[i].visit(fmt::format("{}.block.{}", prefix, i), visitor);
    for (size_t i = 0; i < attention.size(); ++i)
      attention[i].visit(fmt::format("{}.attn.{}", prefix, i), visitor);
    if (resample) {
      const std::string name = prefix + "." + resample_name + ".conv";
      resample->visit(name + ".weight", name + ".bias", visitor);
    }
  }
};

Level make_level(Device& device, int64_t in, int64_t out, int blocks, bool attends,
                 const Precision& precision) {
  Level level;
  for (int i = 0; i < blocks; ++i) {
    level.blocks.emplace_back(device, i == 0 ? in : out, out, precision);
    if (attends) level.attention.emplace_back(device, out, precision);
  }
  return level;
}

bool attends(const VqganConfig& c, size_t level) {
  const int64_t resolution = c.resolution >> level;
  return std::count(c.attention_resolutions.begin(), c.attention_resolutions.end(), resolution) > 0;
}

}  // namespace

// With bounds, so that sizes made of several such numbers do not overflow.
void VqganConfig::visit(auto& self, auto& field) {
  constexpr int64_t widest = 1 << 16;
  field("kind", config::Constant{"vqgan"});
  field("z_channels", self.z_channels, config::within(1, widest));
  field("resolution", self.resolution, config::within(1, widest));
  field("in_channels", self.in_channels, config::within(1, 16));
  field("out_ch", self.out_channels, config::within(1, 16));
  field("ch", self.ch, config::within(1, widest));
  field("ch_mult", self.ch_mult, config::within(1, 1 << 10));
  field("num_res_blocks", self.res_blocks, config::within(1, 64));
  field("attn_resolutions", self.attention_resolutions, config::within(1, widest));
  field("embed_dim", self.embed_dim, config::within(1, widest));
  field("n_embed", self.codes, config::within(1, 1 << 20));
  field("quantiser", self.quantiser, {.choices = {"gumbel", "nearest"}, .omit = self.quantiser == "gumbel"});
  field("dwt", self.dwt);
}

VqganConfig VqganConfig::from_json(const nlohmann::json& json) {
  return config::named("dVAE configuration", [&] {
    VqganConfig c;
    config::read(json, c, {ErrorKind::model});
    check(c.ch_mult.size() <= 8 && !c.ch_mult.empty(), ErrorKind::model, "{} levels in 'ch_mult'",
          c.ch_mult.size());
    // The published Gumbel code applies a projection of z_channels inputs to embed_dim channels.
    check(c.quantiser == "nearest" || c.z_channels == c.embed_dim, ErrorKind::model,
          "'z_channels' {} and 'embed_dim' {} must be equal", c.z_channels, c.embed_dim);
    return c;
  });
}

nlohmann::json VqganConfig::to_json() const { return config::write<nlohmann::json>(*this); }

class Vqgan::Encoder {
 public:
  Encoder(Device& device, const VqganConfig& c, const Precision& precision)
      : activations_(precision.activations),
        input_(nn::Conv2d::zeros(device, c.ch, c.in_channels, 3, precision)) {
    int64_t width = c.ch;
    for (size_t i = 0; i < c.ch_mult.size(); ++i) {
      Level& level = levels_.emplace_back(
          make_level(device, width, c.ch * c.ch_mult[i], c.res_blocks, attends(c, i), precision));
      width = c.ch * c.ch_mult[i];
      if (i + 1 < c.ch_mult.size()) level.resample = nn::Conv2d::zeros(device, width, width, 3, precision);
    }
    middle_.emplace(device, width, precision);
    norm_ = nn::GroupNorm::identity(device, width);
    output_ = nn::Conv2d::zeros(device, c.z_channels, width, 3, precision);
  }

  Tensor forward(Context& context, const Tensor& images) const {
    Tensor x = input_.forward(context, ops::cast(context, images, activations_));
    for (const Level& level : levels_) {
      x = level.forward(context, x);
      if (level.resample) x = downsample(context, *level.resample, x);
    }
    const Tensor z = output_.forward(context, norm_swish(context, norm_, middle_->forward(context, x)));
    return ops::cast(context, z, DType::f32);
  }

  void visit(const ParameterVisitor& visitor) {
    input_.visit("encoder.conv_in.weight", "encoder.conv_in.bias", visitor);
    for (size_t i = 0; i < levels_.size(); ++i) {
      levels_[i].visit(fmt::format("encoder.down.{}", i), "downsample", visitor);
    }
    middle_->visit("encoder.mid", visitor);
    norm_.visit("encoder.norm_out", visitor);
    output_.visit("encoder.conv_out.weight", "encoder.conv_out.bias", visitor);
  }

 private:
  DType activations_;
  nn::Conv2d input_;
  std::vector<Level> levels_;
  std::optional<MiddleLayers> middle_;
  nn::GroupNorm norm_;
  nn::Conv2d output_;
};

class Vqgan::Decoder {
 public:
  Decoder(Device& device, const VqganConfig& c, const Precision& precision)
      : activations_(precision.activations) {
    int64_t width = c.ch * c.ch_mult.back();
    input_ = nn::Conv2d::zeros(device, width, c.z_channels, 3, precision);
    middle_.emplace(device, width, precision);
    levels_.resize(c.ch_mult.size());
    for (size_t i = c.ch_mult.size(); i-- > 0;) {
      levels_[i] = make_level(device, width, c.ch * c.ch_mult[i], c.res_blocks + 1, attends(c, i), precision);
      width = c.ch * c.ch_mult[i];
      if (i > 0) levels_[i].resample = nn::Conv2d::zeros(device, width, width, 3, precision);
    }
    norm_ = nn::GroupNorm::identity(device, width);
    // With wavelets: one low band and three detail bands per channel.
    output_ = nn::Conv2d::zeros(device, c.out_channels * (c.dwt ? 4 : 1), width, 3);
  }

  Tensor forward(Context& context, const Tensor& z) const {
    Tensor x = middle_->forward(context, input_.forward(context, ops::cast(context, z, activations_)));
    for (size_t i = levels_.size(); i-- > 0;) {
      x = levels_[i].forward(context, x);
      if (levels_[i].resample) x = levels_[i].resample->forward(context, ops::upsample(context, x));
    }
    return ops::to_plain(
        context, output_.forward(context, ops::cast(context, norm_swish(context, norm_, x), DType::f32)));
  }

  void visit(const ParameterVisitor& visitor) {
    input_.visit("decoder.conv_in.weight", "decoder.conv_in.bias", visitor);
    middle_->visit("decoder.mid", visitor);
    for (size_t i = 0; i < levels_.size(); ++i)
      levels_[i].visit(fmt::format("decoder.up.{}", i), "upsample", visitor);
    norm_.visit("decoder.norm_out", visitor);
    output_.visit("decoder.conv_out.weight", "decoder.conv_out.bias", visitor);
  }

 private:
  DType activations_;
  nn::Conv2d input_;
  std::optional<MiddleLayers> middle_;
  std::vector<Level> levels_;  // by resolution, the finest first
  nn::GroupNorm norm_;
  nn::Conv2d output_;
};

Vqgan::Vqgan(Device& device, const VqganConfig& c, const Precision& precision)
    : config_(c),
      encoder_(std::make_unique<Encoder>(device, c, precision)),
      decoder_(std::make_unique<Decoder>(device, c, precision)),
      codebook_(Tensor::zeros(device, {c.codes, c.embed_dim})),
      quant_(nn::Conv2d::zeros(device, c.embed_dim, c.z_channels, 1)),
      post_quant_(nn::Conv2d::zeros(device, c.z_channels, c.embed_dim, 1)) {
  if (!nearest()) projection_ = nn::Conv2d::zeros(device, c.codes, c.embed_dim, 1);
}

Vqgan::~Vqgan() = default;

Tensor Vqgan::encode(Context& context, const Tensor& images) {
  check(images.rank() == 4 && images.dim(1) == config_.in_channels, ErrorKind::internal,
        "dVAE: pictures of {} for an encoder of {} channels", images.shape(), config_.in_channels);
  check(images.dim(2) >= downsampling() && images.dim(3) >= downsampling(), ErrorKind::input,
        "a picture of {}x{} is smaller than one code of {}x{}", images.dim(3), images.dim(2), downsampling(),
        downsampling());
  const Tensor z =
      quant_.forward(context, encoder_->forward(context, ops::affine(context, images, 2.0f, -1.0f)));
  return ops::to_plain(context, nearest() ? distances(context, z) : projection_.forward(context, z));
}

// 2 e_k . z - |e_k|^2: the negative squared distance up to |z|^2, which all codes share.
Tensor Vqgan::distances(Context& context, const Tensor& z) const {
  const std::vector<float> rows = codebook_.to_floats();
  std::vector<float> lengths(config_.codes);
  for (size_t i = 0; i < rows.size(); ++i) lengths[i / config_.embed_dim] -= rows[i] * rows[i];
  nn::Conv2d products;
  products.weight =
      ops::reshape(context, ops::affine(context, codebook_, 2.0f), {config_.codes, config_.embed_dim, 1, 1});
  products.bias = Tensor::from(codebook_.device(), {config_.codes}, lengths);
  return products.forward(context, z);
}

Tensor Vqgan::decode_stats(Context& context, const Tensor& indices) {
  check(indices.rank() == 3 && indices.dtype() == DType::i64, ErrorKind::internal, "dVAE: indices of {} {}",
        name_of(indices.dtype()), indices.shape());
  const Tensor rows = ops::embedding(context, indices, codebook_);
  const Tensor z = ops::permute(context, rows, {0, 3, 1, 2});
  const Tensor bands = decoder_->forward(context, post_quant_.forward(context, z));
  if (!config_.dwt) return bands;
  const int64_t channels = config_.out_channels;
  const Tensor low = ops::slice(context, bands, 1, 0, channels);
  const Tensor high = ops::reshape(context, ops::slice(context, bands, 1, channels, 4 * channels),
                                   {bands.dim(0), channels, 3, bands.dim(2), bands.dim(3)});
  return ops::inverse_haar(context, low, high);
}

Tensor Vqgan::image_of(Context& context, const Tensor& stats) {
  Context inference = context.untaped();
  const Tensor x = ops::relu(inference, ops::affine(inference, stats, 0.5f, 0.5f));
  // min(x, 1)
  return ops::sub(inference, x, ops::relu(inference, ops::affine(inference, x, 1.0f, -1.0f)));
}

void Vqgan::visit(const ParameterVisitor& visitor) {
  encoder_->visit(visitor);
  decoder_->visit(visitor);
  if (!nearest()) projection_.visit("quantize.proj.weight", "quantize.proj.bias", visitor);
  visitor(nearest() ? "quantize.embedding.weight" : "quantize.embed.weight", codebook_);
  quant_.visit("quant_conv.weight", "quant_conv.bias", visitor);
  post_quant_.visit("post_quant_conv.weight", "post_quant_conv.bias", visitor);
}

}  // namespace dalle1::dvae
