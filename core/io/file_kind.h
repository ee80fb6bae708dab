// What a file is that is not what was asked for: for refusals that help.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace dalle1 {

/// A file's kind by its first bytes, with what to do about it: "a Git LFS pointer (git lfs pull brings the
/// file itself)", "an HTML page ...", "a gzip file (gunzip unpacks it)", "JSON text", ... Empty when unknown.
/// `bytes` is the whole file or its beginning, of at least 512 bytes where the file has them.
std::string_view file_kind(std::span<const uint8_t> bytes);
inline std::string_view file_kind(std::string_view bytes) {
  return file_kind(std::span(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()));
}

/// ", but KIND" to follow "FILE: not a ...", or nothing when the kind is unknown.
template <typename Bytes>
std::string but_it_is(const Bytes& bytes) {
  const std::string_view kind = file_kind(bytes);
  return kind.empty() ? "" : ", but " + std::string(kind);
}

}  // namespace dalle1
