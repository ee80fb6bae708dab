#include "weights/training_state.h"

#include <unordered_map>

#include "weights/safetensors.h"

namespace dalle1::weights {
namespace {

constexpr const char* kStateKey = "dalle1_state";

nlohmann::json parse_state(const std::filesystem::path& path, const SafetensorsFile& file) {
  const auto found = file.metadata.find(kStateKey);
  check(found != file.metadata.end(), ErrorKind::model, "{}: not a training checkpoint (no {})",
        path.string(), kStateKey);
  auto state = nlohmann::json::parse(found->second, nullptr, /*allow_exceptions=*/false);
  check(state.is_object(), ErrorKind::model, "{}: its training state is not JSON", path.string());
  return state;
}

}  // namespace

void SafetensorsState::write(const std::filesystem::path& path, const nlohmann::json& state,
                             const NamedTensors& tensors) const {
  std::vector<TensorSpec> specs;
  std::unordered_map<std::string, const Tensor*> by_name;
  for (const auto& [name, tensor] : tensors) {
    specs.push_back({name, tensor.dtype(), tensor.shape().extents()});
    by_name[name] = &tensor;
  }
  SafetensorsWriter writer(path, std::move(specs), {{kStateKey, state.dump()}});
  std::vector<std::byte> host;
  for (const TensorSpec& spec : writer.specs()) {
    const Tensor& tensor = *by_name.at(spec.name);
    host.resize(tensor.bytes());
    tensor.device().copy_to_host(host.data(), tensor.raw(), host.size());
    writer.append(host);
  }
  writer.commit();
}

nlohmann::json SafetensorsState::read(const std::filesystem::path& path, const NamedTensors& tensors) const {
  const SafetensorsFile file = read_safetensors(map_file(path));
  const TensorIndex index(file.tensors);
  for (const auto& [name, tensor] : tensors) {
    const RawTensor* raw = index.find(name);
    check(raw != nullptr, ErrorKind::model,
          "{}: tensor '{}' is missing; was it made with another configuration?", path.string(), name);
    check(raw->shape == tensor.shape().extents() && raw->dtype == tensor.dtype(), ErrorKind::model,
          "{}: tensor '{}' is {} {}, expected {} {}", path.string(), name, name_of(raw->dtype),
          shape_text(raw->shape), name_of(tensor.dtype()), tensor.shape());
  }
  check(file.tensors.size() == tensors.size(), ErrorKind::model, "{}: holds {} tensors, expected {}",
        path.string(), file.tensors.size(), tensors.size());
  for (const auto& [name, tensor] : tensors) {
    const RawTensor* raw = index.find(name);
    tensor.device().copy_from_host(tensor.raw(), raw->bytes.data(), raw->bytes.size());
    tensor.touch();
  }
  return parse_state(path, file);
}

nlohmann::json SafetensorsState::read_state(const std::filesystem::path& path) const {
  return parse_state(path, read_safetensors(map_file(path)));
}

}  // namespace dalle1::weights
