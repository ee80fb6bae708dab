#include "weights/presets.h"

#include <algorithm>
#include <span>

namespace dalle1::weights {

std::span<const std::string_view> preset_texts();  // made by CMake from presets/*.json

const std::vector<Preset>& presets() {
  static const std::vector<Preset> all = [] {
    std::vector<Preset> list;
    for (std::string_view text : preset_texts()) {
      auto json = nlohmann::json::parse(text);
      list.push_back({json.at("name"), json.at("part"), json.at("summary"), json.at("config")});
    }
    std::sort(list.begin(), list.end(), [](const Preset& a, const Preset& b) { return a.name < b.name; });
    return list;
  }();
  return all;
}

const Preset* find_preset(std::string_view name) {
  for (const Preset& preset : presets())
    if (preset.name == name) return &preset;
  return nullptr;
}

std::string preset_names() {
  std::string names;
  for (const Preset& preset : presets()) names += (names.empty() ? "" : ", ") + preset.name;
  return names;
}

}  // namespace dalle1::weights
