#include "tools/transformer_model.h"

#include "weights/load.h"
#include "weights/model_dir.h"

namespace dalle1::tools {
namespace {

// What model.json says of the CPU, or "".
std::string advised_precision(const CommonOptions& common) {
  const auto model = find_model_if_any(common);
  if (!model || !common.transformer.empty() || !weights::is_model_dir(*model)) return {};
  const auto sampling = weights::read_model_dir(*model).sampling;
  if (!sampling.contains("precision")) return {};
  const auto& advice = sampling["precision"];
  check(advice == "f32" || advice == "int8", ErrorKind::model,
        "model.json: 'sampling.precision' is {}; it must be \"f32\" or \"int8\"", advice.dump());
  return advice.get<std::string>();
}

}  // namespace

Precision precision_of(const CommonOptions& common, const Device& device) {
  std::string name = common.precision;
  if (name == "auto" && device.is_cpu()) name = advised_precision(common);
  if (name == "auto" || name.empty()) return usual_precision(device);
  const Precision precision = precision_from_name(name);
  check_precision(precision, device);
  return precision;
}

std::string kv_dtype_of(const std::string& wanted, Precision precision, const Device& device) {
  return wanted == "auto" && device.is_cpu() ? std::string(name_of(cache_of(precision))) : wanted;
}

std::unique_ptr<transformer::Transformer> open_transformer(const CommonOptions& common, Device& device) {
  const weights::Checkpoint checkpoint = open_part(common, "transformer");
  auto model = std::make_unique<transformer::Transformer>(
      device, transformer::config_from_json(checkpoint.config), matrices_of(precision_of(common, device)));
  weights::load_parameters(*model, checkpoint);
  model->prepare();
  return model;
}

}  // namespace dalle1::tools
