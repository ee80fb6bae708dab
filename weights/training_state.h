// Training state as a safetensors file: the JSON state is in the header's metadata, so that a checkpoint can
// be looked into with any tool that knows the format.
#pragma once

#include "core/train/checkpoint_store.h"

namespace dalle1::weights {

class SafetensorsState final : public StateFormat {
 public:
  void write(const std::filesystem::path& path, const nlohmann::json& state,
             const NamedTensors& tensors) const override;
  nlohmann::json read(const std::filesystem::path& path, const NamedTensors& tensors) const override;
  nlohmann::json read_state(const std::filesystem::path& path) const override;
};

}  // namespace dalle1::weights
