#include "weights/name_prefix.h"

#include <algorithm>

namespace dalle1::weights {
namespace {

bool is_under(const RawTensor& tensor, const std::string& component) {
  return tensor.name.size() > component.size() + 1 && tensor.name.starts_with(component) &&
         tensor.name[component.size()] == '.';
}

}  // namespace

std::string shared_component(const StateFile& file) {
  if (file.tensors.empty()) return "";
  const std::string& first = file.tensors.front().name;
  const size_t dot = first.find('.');
  if (dot == first.npos || dot == 0) return "";
  std::string component = first.substr(0, dot);
  const bool shared = std::all_of(file.tensors.begin(), file.tensors.end(),
                                  [&](const RawTensor& tensor) { return is_under(tensor, component); });
  return shared ? component : "";
}

bool strip_shared_component(StateFile& file) {
  const std::string component = shared_component(file);
  if (component.empty()) return false;
  for (RawTensor& tensor : file.tensors) tensor.name.erase(0, component.size() + 1);
  return true;
}

void strip_wrappers(StateFile& file) {
  for (std::string component = shared_component(file);
       component == "module" || component == "_orig_mod" || component == "model";
       component = shared_component(file))
    strip_shared_component(file);
}

StateFile tensors_under(const StateFile& file, const std::string& component) {
  StateFile part;
  part.name = file.name;
  part.container = file.container;
  for (const RawTensor& tensor : file.tensors) {
    if (!is_under(tensor, component)) continue;
    part.tensors.push_back(tensor);
    part.tensors.back().name.erase(0, component.size() + 1);
  }
  return part;
}

}  // namespace dalle1::weights
