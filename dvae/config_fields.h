// Reading fields of a configuration with the checks that make their errors clear.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "core/error.h"

namespace dalle1::dvae {

/// A field of type T; `fallback` when absent.
template <typename T>
T field_or(const nlohmann::json& config, const std::string& name, const T& fallback,
           ErrorKind kind = ErrorKind::model) {
  if (!config.contains(name)) return fallback;
  try {
    return config.at(name).get<T>();
  } catch (const nlohmann::json::exception&) {
    fail(kind, "dVAE configuration: '{}' cannot be {}", name, config.at(name).dump());
  }
}

/// An integer field in [least, most]; `fallback` when absent.
inline int64_t integer_field(const nlohmann::json& config, const std::string& name, int64_t fallback,
                             int64_t least, int64_t most, ErrorKind kind = ErrorKind::model) {
  if (!config.contains(name)) return fallback;
  const auto& field = config.at(name);
  check(field.is_number_integer(), kind, "dVAE configuration: '{}' must be an integer, not {}", name,
        field.dump());
  const auto value = field.get<int64_t>();
  check(value >= least && value <= most, kind, "dVAE configuration: '{}' is {}, outside {} to {}", name,
        value, least, most);
  return value;
}

}  // namespace dalle1::dvae
