// A discrete variational autoencoder: pictures to a grid of code indices and back.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>

#include "core/nn/parameters.h"
#include "core/nn/precision.h"
#include "core/tensor/context.h"

namespace dalle1::dvae {

/// One interface for OpenAI's dVAE and the VQGANs. Pictures are f32 [B, 3, H, W], plain layout, RGB in
/// [0, 1]; h = H / downsampling() and w = W / downsampling(), rounded down. Codes are i64 [B, h, w] in raster
/// order.
class Dvae : public Module {
 public:
  /// Unnormalised log-probabilities of the codes: f32 [B, codes(), h, w], plain. Of a VQGAN that takes the
  /// nearest code: negative squared distances, up to a term that the codes of a place share.
  virtual Tensor encode(Context& context, const Tensor& images) = 0;
  /// The decoder's raw output for codes. OpenAI: [B, 6, H, W], three means and three ln b of the
  /// logit-Laplace distribution; VQGAN: [B, 3, H, W] in about [-1, 1]. Error(input) for an index outside [0,
  /// codes()).
  virtual Tensor decode_stats(Context& context, const Tensor& indices) = 0;
  /// The picture in the raw output: [B, 3, H, W] clamped to [0, 1].
  virtual Tensor image_of(Context& context, const Tensor& stats) = 0;

  virtual int64_t codes() const = 0;
  /// Pixels of the given picture per code, along one side.
  virtual int64_t downsampling() const = 0;
  /// Pixels of the decoded picture per code, along one side; 16 for a VQGAN with a wavelet decoder.
  virtual int64_t upsampling() const { return downsampling(); }
  /// The configuration that makes this model again (see make_dvae).
  virtual nlohmann::json config() const = 0;

  /// The most likely codes, the smaller index where two are equal: i64 [B, h, w].
  virtual Tensor encode_indices(Context& context, const Tensor& images);
  /// [B, 3, h * upsampling(), w * upsampling()] in [0, 1].
  Tensor decode(Context& context, const Tensor& indices) {
    return image_of(context, decode_stats(context, indices));
  }
};

/// A model of the given configuration ("kind": "openai", "vqgan" or "discrete_vae") whose parameters are zero
/// until they are loaded or initialised. Error(model) names what is missing or out of range.
///
/// The precision is that of the convolutions that do nearly all of the work. What leads to codes, from codes
/// and to pixels is f32 always, as in OpenAI's half-precision code: a logit that is rounded to 8 bits names
/// another code.
std::unique_ptr<Dvae> make_dvae(const nlohmann::json& config, Device& device,
                                const Precision& precision = {});

}  // namespace dalle1::dvae
