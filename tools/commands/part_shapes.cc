#include "tools/commands/part_shapes.h"

#include "clip/clip.h"
#include "core/cpu/counting_device.h"
#include "core/error.h"
#include "dvae/dvae.h"
#include "transformer/captioner.h"
#include "transformer/model.h"
#include "weights/load.h"

namespace dalle1::tools {
namespace {

std::vector<weights::TensorSpec> specs_of(Module& model) {
  return weights::parameters_of([&](const ParameterVisitor& visitor) { model.visit(visitor); });
}

std::vector<weights::TensorSpec> transformer_tensors(const nlohmann::json& json, Device& device) {
  const auto config = transformer::config_from_json(json);
  auto one_layer = config;
  one_layer.layers = 1;
  one_layer.schedule = {};  // attention patterns have no parameters
  transformer::Transformer model(device, one_layer);
  const std::string first = "layers.0.";
  std::vector<weights::TensorSpec> specs;
  for (const weights::TensorSpec& spec : specs_of(model)) {
    if (!spec.name.starts_with(first)) {
      specs.push_back(spec);
      continue;
    }
    for (int32_t layer = 0; layer < config.layers; ++layer)
      specs.push_back(
          {fmt::format("layers.{}.{}", layer, spec.name.substr(first.size())), spec.dtype, spec.shape});
  }
  return specs;
}

}  // namespace

std::vector<weights::TensorSpec> expected_tensors(std::string_view part, const nlohmann::json& config) {
  const auto cpu = make_cpu_device(1);
  const auto device = make_counting_device(*cpu);  // shapes need no memory
  if (part == "transformer") return transformer_tensors(config, *device);
  if (part == "dvae") return specs_of(*dvae::make_dvae(config, *device));
  if (part == "captioner") {
    transformer::Captioner model(*device, transformer::captioner_config_from_json(config));
    return specs_of(model);
  }
  check(part == "clip", ErrorKind::model, "a model has no part '{}'", part);
  clip::Clip model(clip::clip_config_from_json(config), *device);
  return specs_of(model);
}

void check_part(const weights::Checkpoint& checkpoint) {
  weights::check_tensors(expected_tensors(checkpoint.part, checkpoint.config), checkpoint);
}

}  // namespace dalle1::tools
