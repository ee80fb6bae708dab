#include "tools/transformer_model.h"

#include "weights/load.h"

namespace dalle1::tools {

DType matrices_on(const Device& device) { return device.is_cpu() ? DType::f32 : DType::bf16; }

std::unique_ptr<transformer::Transformer> open_transformer(const CommonOptions& common, Device& device) {
  const weights::Checkpoint checkpoint = open_part(common, "transformer");
  auto model = std::make_unique<transformer::Transformer>(
      device, transformer::config_from_json(checkpoint.config), matrices_on(device));
  weights::load_parameters(*model, checkpoint);
  return model;
}

}  // namespace dalle1::tools
