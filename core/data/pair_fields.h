// What the name of a file or of a tar's member says about its part in a sample.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace dalle1 {

inline constexpr uint64_t kMaxCaptionBytes = 1 << 20;

/// By the ending of a name, whose case does not matter.
enum class FieldKind : uint8_t {
  picture,        ///< png, jpg, jpeg: decoded
  text,           ///< txt: a caption
  json,           ///< json: perhaps with a caption in it
  other_picture,  ///< webp, gif and others that are not decoded
  other
};
FieldKind field_kind(std::string_view name);

/// What follows the last dot of the last part of a path, in lower case; empty without a dot.
std::string lower_ending(std::string_view name);

/// Whether a part of the path begins with a dot: what systems and archivers put beside the data, such as the
/// "._0001.jpg" of macOS.
bool is_hidden(std::string_view path);

/// Whether the name is that of a compressed tar file: .tar.gz, .tgz, .tar.zst and so on.
bool is_compressed_tar(std::string_view name);

/// Why a file or member is left out (DataSummary).
namespace left_out {
inline constexpr const char *kHidden = "hidden", *kNoFile = "link or device",
                            *kWithoutPicture = "without a picture",
                            *kRepeated = "repeated (the first is used)", *kUnpaired = "without a clear pair";
}

}  // namespace dalle1
