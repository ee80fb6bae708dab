// OpenAI's CLIP: a state dict or the published TorchScript archive (github.com/openai/CLIP). Everything about
// the model follows from the shapes: widths are 64 times the heads in all nine variants.
#include <cmath>

#include "weights/import.h"

namespace dalle1::weights {
namespace {

constexpr NameRule openai_clip_names[] = {
    {"input_resolution", ""},  // TorchScript archives keep these three beside the weights
    {"context_length", ""},
    {"vocab_size", ""},
    {"visual.bn#.num_batches_tracked", ""},  // counters of training
    {"visual.layer#.#.bn#.num_batches_tracked", ""},
    {"visual.layer#.#.downsample.#.num_batches_tracked", ""},
    {"visual.*", "visual.*"},
    {"transformer.resblocks.*", "transformer.resblocks.*"},
    {"token_embedding.weight", "token_embedding.weight"},
    {"positional_embedding", "positional_embedding"},
    {"ln_final.*", "ln_final.*"},
    {"text_projection", "text_projection"},
    {"logit_scale", "logit_scale"}};

bool is_openai_clip(const StateFile& file) {
  return file.has("token_embedding.weight") && file.has("text_projection") && file.has("visual.conv1.weight");
}

int64_t square_root(const std::string& source, std::string_view what, int64_t value) {
  auto root = static_cast<int64_t>(std::llround(std::sqrt(static_cast<double>(value))));
  check(root > 0 && root * root == value, ErrorKind::model, "{}: {} has {} positions, which is no square",
        source, what, value);
  return root;
}

void describe_vision(const Checkpoint& result, const TensorIndex& index, nlohmann::json& config) {
  const std::string& source = result.source;
  if (index.find("visual.proj")) {  // a vision transformer
    const int64_t patch = extent_of(index, source, "visual.conv1.weight", 3);
    const int64_t positions = extent_of(index, source, "visual.positional_embedding", 0) - 1;
    config["vision_width"] = extent_of(index, source, "visual.conv1.weight", 0);
    config["vision_layers"] = count_numbered(result.tensors, "visual.transformer.resblocks.#.*");
    config["vision_patch_size"] = patch;
    config["image_resolution"] = patch * square_root(source, "visual.positional_embedding", positions);
    return;
  }
  nlohmann::json layers = nlohmann::json::array();
  for (std::string stage : {"1", "2", "3", "4"})
    layers.push_back(count_numbered(result.tensors, "visual.layer" + stage + ".#.*"));
  const int64_t positions = extent_of(index, source, "visual.attnpool.positional_embedding", 0) - 1;
  config["vision_width"] = extent_of(index, source, "visual.layer1.0.conv1.weight", 0);
  config["vision_layers"] = layers;
  config["vision_patch_size"] = nullptr;
  config["image_resolution"] = 32 * square_root(source, "visual.attnpool.positional_embedding", positions);
}

Checkpoint convert_openai_clip(const std::vector<StateFile>& files, const nlohmann::json&) {
  Checkpoint result = part_from(files, "clip", "openai-clip");
  check(files.size() == 1, ErrorKind::model, "{}: a CLIP is one file", result.source);
  result.tensors = rename_tensors(files, openai_clip_names);
  TensorIndex index(result.tensors);
  nlohmann::json& config = result.config;
  const int64_t width = extent_of(index, result.source, "ln_final.weight", 0);
  config = {{"kind", "openai"},
            {"embed_dim", extent_of(index, result.source, "text_projection", 1)},
            {"context_length", extent_of(index, result.source, "positional_embedding", 0)},
            {"vocab_size", extent_of(index, result.source, "token_embedding.weight", 0)},
            {"transformer_width", width},
            {"transformer_heads", width / 64},
            {"transformer_layers", count_numbered(result.tensors, "transformer.resblocks.#.*")}};
  describe_vision(result, index, config);
  return result;
}

}  // namespace

const Importer& openai_clip_importer() {
  static constexpr Importer importer = {"openai-clip",      "clip", false, "", is_openai_clip,
                                        convert_openai_clip};
  return importer;
}

}  // namespace dalle1::weights
