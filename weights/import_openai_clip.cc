// OpenAI's CLIP: a state dict or the published TorchScript archive (github.com/openai/CLIP), and open_clip's
// models of the same architecture and names. All but heads and activation follows from the shapes; a
// configuration may say these, in native terms.
#include <fmt/ranges.h>

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

/// Hidden channels of the blocks whose names begin with `prefix`.
int64_t mlp_width(const TensorIndex& index, const std::string& source, const std::string& prefix) {
  return extent_of(index, source, prefix + "transformer.resblocks.0.mlp.c_fc.weight", 0);
}

void describe_vision(const Checkpoint& result, const TensorIndex& index, nlohmann::json& config) {
  const std::string& source = result.source;
  if (index.find("visual.proj")) {  // a vision transformer
    const int64_t patch = extent_of(index, source, "visual.conv1.weight", 3);
    const int64_t positions = extent_of(index, source, "visual.positional_embedding", 0) - 1;
    config["vision_width"] = extent_of(index, source, "visual.conv1.weight", 0);
    config["vision_layers"] = count_numbered(result.tensors, "visual.transformer.resblocks.#.*");
    config["vision_mlp_width"] = mlp_width(index, source, "visual.");
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

// open_clip's vision transformers of which 64 is not the width of a head or not the only one that fits:
// ViT-H, -g, -bigG, -e and -B-plus. No OpenAI model has such a shape.
struct OpenClipVision {
  int64_t width, layers, head_width;
};
constexpr OpenClipVision open_clip_visions[] = {
    {1280, 32, 80}, {1408, 40, 88}, {1664, 48, 104}, {1792, 56, 112}, {896, 12, 64}};

const OpenClipVision* find_open_clip(const nlohmann::json& config) {
  for (const OpenClipVision& vision : open_clip_visions)
    if (config["vision_width"] == vision.width && config["vision_layers"] == vision.layers) return &vision;
  return nullptr;
}

/// Heads are in no tensor. They are 64 wide in all published models but those above: a width that one of
/// their heads divides, too, is not decided.
int64_t vision_heads(const std::string& source, const nlohmann::json& config) {
  const auto width = config["vision_width"].get<int64_t>();
  if (config["vision_layers"].is_array()) return width * 32 / 64;
  if (const OpenClipVision* vision = find_open_clip(config)) return width / vision->head_width;
  std::vector<std::string> choices;
  for (const int64_t head : {64, 80, 88, 104, 112})
    if (width % head == 0) choices.push_back(fmt::format("{} heads of {}", width / head, head));
  if (choices.size() == 1 && width % 64 == 0) return width / 64;
  throw MissingConfiguration(
      "clip",
      fmt::format("{}: no tensor tells the heads of its vision transformer, and no published model has {} "
                  "channels in {} layers ({}); give a configuration with vision_heads",
                  source, width, config["vision_layers"].dump(),
                  choices.empty() ? "not of heads of 64" : fmt::format("{}", fmt::join(choices, " or "))));
}

int64_t text_heads(const std::string& source, int64_t width) {
  if (width % 64 != 0)
    throw MissingConfiguration(
        "clip", fmt::format("{}: no tensor tells the heads of its text transformer, and {} channels are not "
                            "heads of 64 as published ones have; give a configuration with transformer_heads",
                            source, width));
  return width / 64;
}

/// The model's name in that of the run, DATE-model_NAME-lr_..., by which open_clip's trainings keep their
/// checkpoints; empty in any other.
std::string trained_model(const StateFile& file) {
  const auto run = file.settings.find("name");
  if (run == file.settings.end() || !run->second.is_string()) return "";
  const auto& name = run->second.get_ref<const std::string&>();
  constexpr std::string_view before = "-model_";
  const size_t begin = name.find(before), end = name.find("-lr_");
  if (begin == name.npos || end == name.npos || end < begin + before.size()) return "";
  return name.substr(begin + before.size(), end - begin - before.size());
}

/// The activation is in no tensor either. OpenAI's archives are of one code, open_clip's trainings tell the
/// model's name. A file of tensors alone is taken for OpenAI's too unless it has a shape that only open_clip
/// published. `note` then says so.
std::string activation_of(const StateFile& file, const nlohmann::json& config, std::string& note) {
  if (file.container == "TorchScript") return "quick_gelu";
  const std::string model = trained_model(file);
  if (!model.empty()) return model.ends_with("-quickgelu") ? "quick_gelu" : "gelu";
  const bool open_clip = find_open_clip(config) != nullptr;
  const std::string taken = open_clip ? "gelu" : "quick_gelu", other = open_clip ? "quick_gelu" : "gelu";
  note = fmt::format(
      "{} does not say its activation: {} is taken, that of {}; where it is {}, as in {}, give the "
      "configuration clip-{}",
      file.name, taken, open_clip ? "LAION's models of this shape" : "OpenAI's models", other,
      open_clip ? "DFN's" : "LAION's", open_clip ? "quick-gelu" : "gelu");
  return taken;
}

Checkpoint convert_openai_clip(const std::vector<StateFile>& files, const nlohmann::json& given) {
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
            {"transformer_mlp_width", mlp_width(index, result.source, "")},
            {"transformer_layers", count_numbered(result.tensors, "transformer.resblocks.#.*")}};
  describe_vision(result, index, config);
  add_given(result, given);
  if (!config.contains("transformer_heads")) config["transformer_heads"] = text_heads(result.source, width);
  if (!config.contains("vision_heads")) config["vision_heads"] = vision_heads(result.source, config);
  if (!config.contains("activation")) config["activation"] = activation_of(files[0], config, result.note);
  return result;
}

}  // namespace

const Importer& openai_clip_importer() {
  static constexpr Importer importer = {"openai-clip",      "clip", false, "", is_openai_clip,
                                        convert_openai_clip};
  return importer;
}

}  // namespace dalle1::weights
