// Named configurations. They are part of the program, so that they work from any folder.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace dalle1::weights {

struct Preset {
  std::string name;     ///< "dalle1-12b", "rudalle-malevich", "clip-vit-b-32", ...
  std::string part;     ///< "dvae", "transformer" or "clip".
  std::string summary;  ///< One line.
  nlohmann::json config;
};

const std::vector<Preset>& presets();              ///< All, sorted by name.
const Preset* find_preset(std::string_view name);  ///< Null when there is none.
std::string preset_names();                        ///< Joined by ", ", for messages and help.

}  // namespace dalle1::weights
