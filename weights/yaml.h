// The part of YAML in which model configurations are published: nested maps, lists of scalars, plain scalars.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace dalle1::weights {

/// Block maps and block lists by indentation, flow lists of scalars, comments, quoted and plain scalars.
/// Anchors, tags, multi-line texts and flow maps are refused. Error(model) names the line.
nlohmann::json parse_simple_yaml(const std::string& name, std::string_view text);

}  // namespace dalle1::weights
