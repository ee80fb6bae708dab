#include "weights/part_file.h"

#include <unordered_map>

#include "weights/pack.h"
#include "weights/safetensors.h"

namespace dalle1::weights {
namespace {

constexpr std::string_view scale_suffix = ".scale";

bool packs_rows(const PartTensor& tensor) { return tensor.dtype == DType::i8 && tensor.values; }

Packed packed(const PartTensor& tensor) {
  return pack(tensor.name, tensor.values(), tensor.shape, tensor.dtype);
}

}  // namespace

std::map<std::string, std::string> part_metadata(const std::string& part, const nlohmann::json& config) {
  return {{"dalle1.part", part}, {"dalle1.config", config.dump()}, {"format", "pt"}};
}

void write_part_tensors(const std::filesystem::path& file, const std::vector<PartTensor>& tensors,
                        const std::map<std::string, std::string>& metadata) {
  std::vector<TensorSpec> specs;
  std::unordered_map<std::string, const PartTensor*> sources, scaled;
  for (const PartTensor& tensor : tensors) {
    specs.push_back({tensor.name, tensor.dtype, tensor.shape});
    sources[tensor.name] = &tensor;
    if (!packs_rows(tensor)) continue;
    const std::string scale = tensor.name + std::string(scale_suffix);
    specs.push_back({scale, DType::f32, {tensor.shape.at(0)}});
    scaled[scale] = &tensor;
  }
  SafetensorsWriter writer(file, std::move(specs), metadata);
  // Scales are wider than what they scale and come long before it in the file: i8 tensors are packed twice
  // rather than all held in memory.
  for (const TensorSpec& spec : writer.specs()) {
    if (auto found = scaled.find(spec.name); found != scaled.end()) {
      const Packed rows = packed(*found->second);
      writer.append(std::as_bytes(std::span(rows.scale)));
      continue;
    }
    const PartTensor& tensor = *sources.at(spec.name);
    if (tensor.values)
      writer.append(packed(tensor).bytes);
    else
      writer.append(tensor.bytes);
  }
  writer.commit();
}

void write_part(const std::filesystem::path& file, const Checkpoint& checkpoint, std::optional<DType> dtype) {
  TensorIndex index(checkpoint.tensors);
  std::vector<PartTensor> tensors;
  for (const RawTensor& tensor : checkpoint.tensors) {
    const RawTensor* scale = index.find(tensor.name + std::string(scale_suffix));
    const DType stored = dtype ? stored_dtype(tensor.shape, tensor.dtype, *dtype) : tensor.dtype;
    if (index.is_scale_of_packed(tensor) && dtype && *dtype != DType::i8) continue;
    const bool keep = stored == tensor.dtype || index.is_scale_of_packed(tensor);
    tensors.push_back({tensor.name, tensor.shape, keep ? tensor.dtype : stored, tensor.bytes, {}});
    if (!keep) tensors.back().values = [&tensor, scale] { return to_floats(tensor, scale); };
  }
  write_part_tensors(file, tensors, part_metadata(checkpoint.part, checkpoint.config));
}

}  // namespace dalle1::weights
