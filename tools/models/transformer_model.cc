#include "tools/models/transformer_model.h"

#include "rerank/model_set.h"
#include "weights/load.h"
#include "weights/model_dir.h"

namespace dalle1::tools {
namespace {

// Of the model directory that the transformer comes from.
nlohmann::json sampling_advice(const CommonOptions& common) {
  const auto model = find_model_if_any(common);
  if (!model || !common.transformer.empty() || !weights::is_model_dir(*model))
    return nlohmann::json::object();
  return weights::read_model_dir(*model).sampling;
}

}  // namespace

PrecisionName precision_name_of(const CommonOptions& common, const Device& device) {
  if (common.precision == "auto") return rerank::advised_precision(sampling_advice(common), device);
  const PrecisionName precision = precision_from_name(common.precision);
  check_precision(precision, device);
  return precision;
}

std::string kv_dtype_of(const std::string& wanted, PrecisionName precision, const Device& device) {
  return wanted == "auto" && device.is_cpu()
             ? std::string(name_of(precisions_of(precision, device).transformer.cache))
             : wanted;
}

std::unique_ptr<transformer::Transformer> open_transformer(const CommonOptions& common, Device& device) {
  const weights::Checkpoint checkpoint = open_part(common, "transformer");
  auto model = std::make_unique<transformer::Transformer>(
      device, transformer::config_from_json(checkpoint.config),
      precisions_of(precision_name_of(common, device), device).transformer);
  weights::load_parameters(*model, checkpoint);
  model->prepare();
  return model;
}

}  // namespace dalle1::tools
