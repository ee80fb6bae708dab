// The VQGANs of taming-transformers (Esser et al. 2021): VQModel, which takes the nearest code, and GumbelVQ,
// which takes the largest logit; ru-dalle's is the second, plain or with a wavelet decoder.
#pragma once

#include <memory>
#include <vector>

#include "core/nn/conv2d.h"
#include "dvae/dvae.h"

namespace dalle1::dvae {

struct VqganConfig {
  int64_t z_channels = 256, resolution = 256, in_channels = 3, out_channels = 3;
  int64_t ch = 128;
  std::vector<int64_t> ch_mult = {1, 1, 2, 4};
  int res_blocks = 2;
  std::vector<int64_t> attention_resolutions = {32};
  int64_t embed_dim = 256, codes = 8192;
  /// "gumbel": codes by the largest of quantize.proj's logits. "nearest": by the smallest distance to the
  /// rows of the codebook.
  std::string quantiser = "gumbel";
  bool dwt = false;  ///< The decoder makes wavelet bands of a picture of twice the side.

  static void visit(auto& self, auto& field);
  /// Error(model) names an unknown, mistyped or impossible field.
  static VqganConfig from_json(const nlohmann::json& json);
  nlohmann::json to_json() const;
};

/// Parameters have the published names: encoder.*, decoder.*, quantize.*, quant_conv.*, post_quant_conv.*
class Vqgan : public Dvae {
 public:
  /// `blocks` as in make_dvae().
  Vqgan(Device& device, const VqganConfig& config, const Precision& precision = {});
  ~Vqgan() override;

  Tensor encode(Context& context, const Tensor& images) override;
  Tensor decode_stats(Context& context, const Tensor& indices) override;
  Tensor image_of(Context& context, const Tensor& stats) override;
  int64_t codes() const override { return config_.codes; }
  int64_t downsampling() const override { return int64_t{1} << (config_.ch_mult.size() - 1); }
  int64_t upsampling() const override { return downsampling() * (config_.dwt ? 2 : 1); }
  nlohmann::json config() const override { return config_.to_json(); }
  void visit(const ParameterVisitor& visitor) override;

 private:
  class Encoder;
  class Decoder;
  bool nearest() const { return config_.quantiser == "nearest"; }
  Tensor distances(Context& context, const Tensor& z) const;

  VqganConfig config_;
  std::unique_ptr<Encoder> encoder_;
  std::unique_ptr<Decoder> decoder_;
  nn::Conv2d projection_;  // quantize.proj, to codes; Gumbel's alone
  Tensor codebook_;        // quantize.embed.weight or quantize.embedding.weight [codes, embed_dim]
  nn::Conv2d quant_, post_quant_;
};

}  // namespace dalle1::dvae
