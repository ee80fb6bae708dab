// What the sources of pictures and captions share.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>

namespace dalle1 {

inline constexpr uint64_t kMaxCaptionBytes = 1 << 20;

/// Whether a file extension or webdataset field, with or without its dot, is one that is decoded.
inline bool is_picture_field(std::string field) {
  if (field.starts_with('.')) field.erase(0, 1);
  std::transform(field.begin(), field.end(), field.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
  return field == "png" || field == "jpg" || field == "jpeg";
}

/// A caption without the white space around it.
inline std::string trimmed_caption(std::span<const uint8_t> bytes) {
  const std::string text(bytes.begin(), bytes.end());
  const size_t first = text.find_first_not_of(" \t\r\n"), last = text.find_last_not_of(" \t\r\n");
  return first == std::string::npos ? "" : text.substr(first, last - first + 1);
}

}  // namespace dalle1
