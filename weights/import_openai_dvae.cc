// OpenAI's dVAE: encoder.pkl and decoder.pkl, each a whole pickled module (github.com/openai/DALL-E).
#include <cmath>

#include "weights/import.h"

namespace dalle1::weights {
namespace {

constexpr NameRule encoder_names[] = {{"blocks.*", "encoder.blocks.*"}};
constexpr NameRule decoder_names[] = {{"blocks.*", "decoder.blocks.*"}};

// The encoder ends in one logit per code, the decoder in six statistics per pixel: their residual paths
// differ in where the 1x1 convolution is, which tells the two apart whatever the class is called.
bool is_half(const StateFile& file, bool encoder) {
  TensorIndex index(file.tensors);
  const RawTensor* input = index.find("blocks.input.w");
  if (!input || !index.find("blocks.output.conv.w") || input->shape.size() != 4) return false;
  const RawTensor* last = index.find("blocks.group_1.block_1.res_path.conv_4.w");
  return last && last->shape.size() == 4 && (last->shape[3] == 1) == encoder;
}

bool is_openai_dvae(const StateFile& file) { return is_half(file, true) || is_half(file, false); }

/// The gain that every block's attributes give, if they give one; they must agree.
nlohmann::json post_gain_of(const std::vector<StateFile>& files) {
  nlohmann::json gain;
  for (const StateFile& file : files) {
    for (auto& [path, value] : file.attributes) {
      if (!path.ends_with(".post_gain")) continue;
      check(value.is_number() && std::isfinite(value.get<double>()) && (gain.is_null() || gain == value),
            ErrorKind::model, "{}: '{}' differs from other blocks' gains", file.name, path);
      gain = value;
    }
  }
  return gain;
}

Checkpoint convert_openai_dvae(const std::vector<StateFile>& files, const nlohmann::json&) {
  const std::string source = source_of(files);
  Checkpoint result = part_from(files, "dvae", "openai-dvae");
  bool seen[2] = {};
  for (const StateFile& file : files) {
    const bool encoder = is_half(file, true);
    check(!seen[encoder], ErrorKind::model, "{}: two {}s; give one encoder and one decoder", source,
          encoder ? "encoder" : "decoder");
    seen[encoder] = true;
    auto half = encoder ? rename_tensors({file}, encoder_names) : rename_tensors({file}, decoder_names);
    result.tensors.insert(result.tensors.end(), half.begin(), half.end());
  }
  TensorIndex index(result.tensors);
  nlohmann::json& config = result.config;
  config = {{"kind", "openai"},
            {"quantiser", "gumbel"},
            {"pixel_map", "logit_laplace"},
            {"post_gain", post_gain_of(files)}};
  const std::string half = seen[true] ? "encoder" : "decoder";
  config["groups"] = count_numbered(result.tensors, half + ".blocks.group_#.*") - 1;
  config["blocks_per_group"] = count_numbered(result.tensors, half + ".blocks.group_1.block_#.*") - 1;
  if (seen[true]) {
    config["hidden"] = extent_of(index, source, "encoder.blocks.input.w", 0);
    config["channels"] = extent_of(index, source, "encoder.blocks.input.w", 1);
    config["codes"] = extent_of(index, source, "encoder.blocks.output.conv.w", 0);
  }
  if (seen[false]) {
    config["decoder_init"] = extent_of(index, source, "decoder.blocks.input.w", 0);
    config["output_channels"] = extent_of(index, source, "decoder.blocks.output.conv.w", 0);
    const int64_t codes = extent_of(index, source, "decoder.blocks.input.w", 1);
    check(!seen[true] || config["codes"] == codes, ErrorKind::model,
          "{}: the encoder has {} codes and the decoder {}; they do not belong together", source,
          config.value("codes", int64_t{0}), codes);
    config["codes"] = codes;
    config["hidden"] = extent_of(index, source, "decoder.blocks.output.conv.w", 1);
  }
  if (!(seen[true] && seen[false])) config["half"] = half;
  return result;
}

}  // namespace

const Importer& openai_dvae_importer() {
  static constexpr Importer importer = {"openai-dvae",      "dvae", false, "", is_openai_dvae,
                                        convert_openai_dvae};
  return importer;
}

}  // namespace dalle1::weights
