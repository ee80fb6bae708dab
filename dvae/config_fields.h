// Reading fields of a configuration with the checks that make their errors clear.
#pragma once

#include <string>

#include "core/json.h"

namespace dalle1::dvae {

/// A field of type T; `fallback` when absent.
template <typename T>
T field_or(const nlohmann::json& config, const std::string& name, const T& fallback,
           ErrorKind kind = ErrorKind::model) {
  try {
    return value_or(config, name, fallback, kind);
  } catch (const Error& error) {
    fail(kind, "dVAE configuration: {}", error.what());
  }
}

/// An integer field in [least, most]; `fallback` when absent.
inline int64_t integer_field(const nlohmann::json& config, const std::string& name, int64_t fallback,
                             int64_t least, int64_t most, ErrorKind kind = ErrorKind::model) {
  if (!config.contains(name)) return fallback;
  const auto value = field_or(config, name, fallback, kind);
  check(value >= least && value <= most, kind, "dVAE configuration: '{}' is {}, outside {} to {}", name,
        value, least, most);
  return value;
}

}  // namespace dalle1::dvae
