// DALLE-pytorch's DiscreteVAE (github.com/lucidrains/DALLE-pytorch): strided convolutions and residual blocks
// on pictures in [-1, 1], and their mirror image.
#pragma once

#include <vector>

#include "core/nn/conv2d.h"
#include "dvae/dvae.h"

namespace dalle1::dvae {

struct DiscreteVaeConfig {
  int64_t channels = 3;
  int64_t hidden = 64;         ///< Width of every convolution between.
  int64_t codebook_dim = 512;  ///< Width of a code.
  int64_t codes = 512;
  int layers = 3;         ///< Halvings of the side.
  int resnet_blocks = 0;  ///< At the coarsest level, in encoder and decoder each.
  /// What each channel of a picture in [0, 1] has subtracted and is divided by.
  std::vector<float> mean = {0.5f, 0.5f, 0.5f}, deviation = {0.5f, 0.5f, 0.5f};

  static void visit(auto& self, auto& field);
  /// Error(model) names an unknown, mistyped or impossible field.
  static DiscreteVaeConfig from_json(const nlohmann::json& json);
  nlohmann::json to_json() const;
};

/// Parameters have the published names: codebook.weight, encoder.N..., decoder.N...
class DiscreteVae : public Dvae {
 public:
  /// `blocks` as in make_dvae().
  DiscreteVae(Device& device, const DiscreteVaeConfig& config, const Precision& precision = {});

  Tensor encode(Context& context, const Tensor& images) override;
  /// [B, channels, H, W], pictures less mean over deviation.
  Tensor decode_stats(Context& context, const Tensor& indices) override;
  Tensor image_of(Context& context, const Tensor& stats) override;
  int64_t codes() const override { return config_.codes; }
  int64_t downsampling() const override { return int64_t{1} << config_.layers; }
  nlohmann::json config() const override { return config_.to_json(); }
  void visit(const ParameterVisitor& visitor) override;

 private:
  /// x + conv1x1(relu(conv3x3(relu(conv3x3(x))))).
  struct Residual {
    nn::Conv2d first, second, last;
    Tensor forward(Context& context, const Tensor& x) const;
    void visit(const std::string& prefix, const ParameterVisitor& visitor);
  };
  std::vector<Residual> residuals(Device& device, const Precision& precision) const;
  /// x * scale + shift, of each channel.
  Tensor by_channel(Context& context, const Tensor& x, const std::vector<float>& scale,
                    const std::vector<float>& shift) const;

  DiscreteVaeConfig config_;
  DType activations_;
  Tensor codebook_;                    // [codes, codebook_dim]
  std::vector<nn::Conv2d> down_, up_;  // 4x4 of stride 2; up_ transposed, weight [in, out, 4, 4]
  std::vector<Residual> encoder_, decoder_;
  nn::Conv2d to_codes_, from_codes_, to_pixels_;  // 1x1; from_codes_ where there are residual blocks
};

}  // namespace dalle1::dvae
