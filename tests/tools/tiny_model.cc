#include "tests/tools/tiny_model.h"

#include <cmath>
#include <limits>
#include <vector>

#include "clip/clip.h"
#include "core/io/atomic_file.h"
#include "core/text/train_sentencepiece.h"
#include "dvae/openai_dvae.h"
#include "tests/support/golden.h"
#include "transformer/model.h"
#include "weights/load.h"
#include "weights/model_dir.h"

namespace dalle1::test {
namespace fs = std::filesystem;
namespace {

constexpr int kTextVocab = 96;

std::string train_tokenizer() {
  const std::vector<std::string> colours = {"red", "green", "blue", "yellow"};
  const std::vector<std::string> things = {"circle", "square", "cat", "house", "star"};
  std::vector<std::string> captions;
  for (const auto& first : colours)
    for (const auto& thing : things)
      for (const auto& second : colours)
        captions.push_back("a " + first + " " + thing + " above a " + second + " square");
  size_t next = 0;
  text::SentencePieceTraining training;
  training.vocab_size = 60;
  training.character_coverage = 1.0;
  return text::train_sentencepiece(
      [&]() -> std::optional<std::string> {
        if (next == captions.size()) return std::nullopt;
        return captions[next++];
      },
      training);
}

void write_transformer(const TinyModel& model, Device& device, const fs::path& folder,
                       weights::ModelDirWriter& writer) {
  transformer::TransformerConfig config;
  config.layers = model.layers;
  config.width = model.width;
  config.heads = 2;
  config.text_length = model.text_length;
  config.text_vocab = kTextVocab;
  config.grid = model.grid;
  config.image_vocab = model.codes;
  config.schedule.kernel = 5;
  transformer::Transformer transformer(device, config);
  transformer.initialise(1);
  if (model.broken)
    transformer.visit([](const std::string& name, Tensor& tensor) {
      if (name == "final_norm.weight") tensor.floats()[3] = std::numeric_limits<float>::quiet_NaN();
    });
  weights::save_parameters(transformer, folder / "transformer.safetensors", "transformer", to_json(config));
  writer.add_written("transformer", to_json(config));
}

void write_dvae(const TinyModel& model, Device& device, const fs::path& folder,
                weights::ModelDirWriter& writer) {
  dvae::OpenAiConfig config;
  config.hidden = 8;
  config.decoder_init = 8;
  config.blocks_per_group = 1;
  config.codes = model.codes;
  config.post_gain = 0.25f;
  dvae::OpenAiDvae dvae(device, config);
  initialise(dvae, 2);
  dvae.visit([&](const std::string& name, Tensor& tensor) {
    if (name.rfind("decoder.blocks.output", 0) != 0) return;
    // A fresh decoder draws greys close to each other; this makes its pictures differ.
    for (int64_t i = 0; i < tensor.numel(); ++i) tensor.floats()[i] *= model.blank ? 0.0f : 8.0f;
  });
  weights::save_parameters(dvae, folder / "dvae.safetensors", "dvae", config.to_json());
  writer.add_written("dvae", config.to_json());
}

void write_clip(const TinyModel& model, Device& device, const fs::path& folder,
                weights::ModelDirWriter& writer) {
  clip::ClipConfig config;
  config.embed_dim = 32;
  config.image_resolution = 32;
  config.vision_layers = {2};
  config.vision_width = 64;
  config.vision_patch_size = 8;
  config.context_length = model.text_length + 2;
  config.vocab_size = kTextVocab;
  config.transformer_width = 64;
  config.transformer_heads = 1;
  config.transformer_layers = 2;
  config.end_token = 3;
  clip::Clip clip(config, device);
  clip.initialise(3);
  weights::save_parameters(clip, folder / "clip.safetensors", "clip", config.to_json());
  writer.add_written("clip", config.to_json());
}

}  // namespace

void write_tiny_model(const fs::path& folder, const TinyModel& model) {
  const auto device = make_cpu_device(1);
  weights::ModelDirWriter writer(folder, "tiny", "none: random numbers");
  write_transformer(model, *device, folder, writer);
  write_dvae(model, *device, folder, writer);
  ScratchDir scratch;
  write_file_atomically(scratch / "text.model", train_tokenizer());
  writer.add_tokenizer("tokenizer", {"sentencepiece", scratch / "text.model"}, "text.model");
  if (model.clip) {
    write_clip(model, *device, folder, writer);
    writer.add_tokenizer("clip_tokenizer", {"sentencepiece", scratch / "text.model"}, "clip_text.model");
  }
  writer.commit();
}

const fs::path& tiny_model() {
  static const ScratchDir scratch;
  static const fs::path path = [] {
    write_tiny_model(scratch / "tiny");
    return scratch / "tiny";
  }();
  return path;
}

const fs::path& shallow_model() {
  static const ScratchDir scratch;
  static const fs::path path = [] {
    TinyModel model;
    model.layers = 4;
    write_tiny_model(scratch / "shallow", model);
    return scratch / "shallow";
  }();
  return path;
}

}  // namespace dalle1::test
