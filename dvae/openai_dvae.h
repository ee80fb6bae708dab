// OpenAI's dVAE: the graph of the published encoder and decoder, with its sizes as configuration.
#pragma once

#include <optional>
#include <vector>

#include "core/nn/conv2d.h"
#include "dvae/dvae.h"

namespace dalle1::dvae {

struct OpenAiConfig {
  int64_t hidden = 256;        ///< Width of the finest level; level i is hidden * 2^i wide.
  int64_t decoder_init = 128;  ///< Width of the decoder's look-up table.
  int groups = 4;              ///< Levels; pictures shrink by 2^(groups - 1).
  int blocks_per_group = 2;
  int64_t codes = 8192;
  int64_t channels = 3;
  int64_t output_channels = 6;
  float post_gain = 1.0f / 64;  ///< Of every residual path; 1 / (groups * blocks_per_group)^2 by default.
  std::string quantiser = "gumbel";

  static void visit(auto& self, auto& field);
  /// Error(model) names an unknown, mistyped or impossible field.
  static OpenAiConfig from_json(const nlohmann::json& json);
  nlohmann::json to_json() const;
};

/// One residual block: y = shortcut(x) + post_gain * path(relu(x)), a bottleneck of width out / 4.
class ResidualBlock {
 public:
  /// `kernels` of the four convolutions: 3, 3, 3, 1 in the encoder, 1, 3, 3, 3 in the decoder.
  ResidualBlock(Device& device, int64_t in, int64_t out, const std::vector<int>& kernels, float post_gain,
                const Precision& precision);
  Tensor forward(Context& context, const Tensor& x) const;
  void visit(const std::string& prefix, const ParameterVisitor& visitor);

 private:
  std::optional<nn::Conv2d> shortcut_;  // 1x1, where the width changes
  std::vector<nn::Conv2d> path_;
  float post_gain_;
};

/// Ramesh et al. 2021, appendix A.1. Parameters have the published names, prefixed encoder. and decoder.
class OpenAiDvae : public Dvae {
 public:
  /// `blocks` as in make_dvae().
  OpenAiDvae(Device& device, const OpenAiConfig& config, const Precision& precision = {});

  Tensor encode(Context& context, const Tensor& images) override;
  /// Without a tensor of all logits: most of the time of a small encoder would go into moving it.
  Tensor encode_indices(Context& context, const Tensor& images) override;
  Tensor decode_stats(Context& context, const Tensor& indices) override;
  Tensor image_of(Context& context, const Tensor& stats) override;
  int64_t codes() const override { return config_.codes; }
  int64_t downsampling() const override { return int64_t{1} << (config_.groups - 1); }
  nlohmann::json config() const override { return config_.to_json(); }
  void visit(const ParameterVisitor& visitor) override;

  const OpenAiConfig& options() const { return config_; }

  // The parts between which a quantiser sits; training uses them.
  // The blocks between them have the precision; they themselves are f32.
  /// Pictures to the features before the last convolution, after ReLU: f32 [B, hidden * 2^(groups-1), h, w].
  Tensor encode_features(Context& context, const Tensor& images);
  /// The result of the decoder's look-up, f32 [B, decoder_init, h, w], to raw output, f32 and plain.
  Tensor decode_features(Context& context, const Tensor& features);
  /// Logits [B, codes, h, w] of features, plain.
  Tensor logits_of(Context& context, const Tensor& features);
  /// The decoder's table with its bias: [codes, decoder_init].
  Tensor code_table(Context& context);

  nn::Conv2d& encoder_output() { return encoder_output_; }
  nn::Conv2d& decoder_input() { return decoder_input_; }

 private:
  using Group = std::vector<ResidualBlock>;

  OpenAiConfig config_;
  Precision precision_;
  nn::Conv2d encoder_input_;  // 7x7
  std::vector<Group> encoder_groups_;
  nn::Conv2d encoder_output_;  // 1x1, to codes
  Tensor code_rows_;           // its weights as [codes, features], the same memory
  nn::Conv2d decoder_input_;   // 1x1, from codes
  std::vector<Group> decoder_groups_;
  nn::Conv2d decoder_output_;  // 1x1

  Tensor table_;  // of inference: code_table() as of these versions of the parameters
  uint64_t table_version_ = 0;
};

/// Normal weights of variance 2 / fan-in after a ReLU and 1 / fan-in elsewhere, zero biases; a function of
/// the seed.
void initialise(OpenAiDvae& model, uint64_t seed);

}  // namespace dalle1::dvae
