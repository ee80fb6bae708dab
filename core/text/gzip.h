// Gzip in memory.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace dalle1::text {

bool is_gzip(std::span<const uint8_t> bytes);

/// The content of the gzip stream; throws Error(model) naming `name` if it is damaged, cut short or above
/// `limit`.
std::vector<uint8_t> gunzip(std::span<const uint8_t> bytes, size_t limit, const std::string& name);

}  // namespace dalle1::text
