// Transformers of a few thousand parameters, and their inputs, that the tests of this folder share.
#pragma once

#include <string>
#include <vector>

#include "core/random/philox.h"
#include "transformer/loss.h"

namespace dalle1::test {

using transformer::Transformer;
using transformer::TransformerConfig;

/// 6 text slots, 20 words, 4x4 grid, 11 codes, two heads of 8. "list" has arbitrary patterns.
inline TransformerConfig small_config(const std::string& schedule, int32_t layers = 2) {
  TransformerConfig config;
  config.layers = layers;
  config.width = 16;
  config.heads = 2;
  config.text_length = 6;
  config.text_vocab = 20;
  config.grid = 4;
  config.image_vocab = 11;
  config.schedule.kind = schedule;
  config.schedule.kernel = 3;
  for (int32_t layer = 0; schedule == "list" && layer < layers; ++layer)
    config.schedule.list.push_back(layer % 2 ? "random:1:column" : "random:1:row");  // tables of bits
  return config;
}

/// All that speeds up learning and is off in the paper's model.
inline TransformerConfig normalised_config(const std::string& schedule, int32_t layers = 2) {
  TransformerConfig config = small_config(schedule, layers);
  config.activation = "relu_squared";
  config.qk_norm = config.rotary = config.embedding_norm = true;
  return config;
}

/// All that DALLE-pytorch's models may have; heads of 14, of whose seven pairs one does not turn.
inline TransformerConfig dalle_pytorch_config(const std::string& schedule, int32_t layers = 2) {
  TransformerConfig config = small_config(schedule, layers);
  config.head_width = 14;
  config.activation = "gelu";
  config.rotary_kind = "dalle_pytorch";
  config.gated_mlp = config.rotary = config.reversible = config.token_shift = true;
  config.sandwich_norm = config.divide_by_max = true;
  config.start = "text";
  config.start_token = 0;
  config.loss = "rudalle_v2";
  return config;
}

/// A small configuration's model with initialised parameters of a size that makes attention matter, biases
/// and norms included.
inline Transformer small_model(Device& device, const TransformerConfig& config, uint64_t seed = 1) {
  Transformer model(device, config);
  uint32_t index = 0;
  model.visit([&](const std::string& name, Tensor& parameter) {
    RandomStream draws(seed, Stream::test, index++);
    const float centre = name.find("norm.weight") != std::string::npos ? 1.0f : 0.0f;
    float* values = parameter.floats();
    for (int64_t i = 0; i < parameter.numel(); ++i) values[i] = centre + 0.3f * draws.normal();
    parameter.touch();
  });
  return model;
}

/// Random captions (with padding behind them) and pictures.
inline transformer::TokenBatch small_batch(Device& device, const TransformerConfig& config, int64_t batch,
                                           uint64_t seed = 7) {
  RandomStream draws(seed, Stream::test, 1000);
  std::vector<int64_t> text, image;
  for (int64_t b = 0; b < batch; ++b) {
    const auto words = static_cast<int32_t>(draws.below(config.text_length));
    for (int32_t p = 0; p < config.text_length; ++p) {
      const auto word = static_cast<int64_t>(draws.below(config.text_vocab));
      text.push_back(p < words ? word : config.padding_token(p));
    }
    for (int32_t cell = 0; cell < config.cells(); ++cell) image.push_back(draws.below(config.image_vocab));
  }
  return {Tensor::from(device, {batch, config.text_length}, text),
          Tensor::from(device, {batch, config.cells()}, image)};
}

/// Logits over all classes of every position of text and the first `cells` image tokens: [B, T, V].
inline Tensor all_logits(const Transformer& model, const transformer::TokenBatch& batch, int64_t cells) {
  Context context(model.device());
  const auto slots = static_cast<int32_t>(batch.text.dim(1));
  const auto sequence = transformer::whole_sequence(model, slots);
  std::vector<int64_t> ids;
  const auto image = batch.image.to_ints();
  for (int64_t b = 0; b < batch.image.dim(0); ++b) {
    ids.insert(ids.end(), image.begin() + b * batch.image.dim(1),
               image.begin() + b * batch.image.dim(1) + cells);
  }
  const Tensor picture = cells ? Tensor::from(model.device(), {batch.image.dim(0), cells}, ids) : Tensor();
  return model.logits(context, model.trunk(context, model.embed(context, batch.text, picture), sequence));
}

inline const std::vector<std::string>& every_schedule() {
  static const std::vector<std::string> names = {"row", "column", "conv", "dense", "paper", "list"};
  return names;
}

}  // namespace dalle1::test
