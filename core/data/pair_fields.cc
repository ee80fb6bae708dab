#include "core/data/pair_fields.h"

#include <algorithm>
#include <array>

namespace dalle1 {
namespace {

constexpr std::array<std::string_view, 3> kPictures = {"png", "jpg", "jpeg"};
constexpr std::array<std::string_view, 18> kOtherPictures = {"webp", "gif",  "bmp",  "tif",  "tiff", "jfif",
                                                             "jpe",  "heic", "heif", "avif", "jxl",  "jp2",
                                                             "svg",  "ppm",  "pgm",  "tga",  "ico",  "psd"};
constexpr std::array<std::string_view, 10> kCompressedTars = {
    ".tar.gz", ".tgz", ".tar.zst", ".tzst", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz", ".tar.lz4"};

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

bool is_one_of(const auto& list, std::string_view ending) {
  return std::find(list.begin(), list.end(), ending) != list.end();
}

}  // namespace

std::string lower_ending(std::string_view name) {
  name.remove_prefix(name.rfind('/') + 1);  // npos + 1 is 0
  const size_t dot = name.rfind('.');
  return dot == std::string_view::npos ? "" : lower(name.substr(dot + 1));
}

FieldKind field_kind(std::string_view name) {
  const std::string ending = lower_ending(name);
  if (is_one_of(kPictures, ending)) return FieldKind::picture;
  if (ending == "txt") return FieldKind::text;
  if (ending == "json") return FieldKind::json;
  return is_one_of(kOtherPictures, ending) ? FieldKind::other_picture : FieldKind::other;
}

bool is_hidden(std::string_view path) {
  while (!path.empty()) {
    const std::string_view part = path.substr(0, path.find('/'));
    if (part.starts_with('.') && part != "." && part != "..") return true;
    path.remove_prefix(std::min(part.size() + 1, path.size()));
  }
  return false;
}

bool is_compressed_tar(std::string_view name) {
  const std::string lowered = lower(name);
  return std::any_of(kCompressedTars.begin(), kCompressedTars.end(),
                     [&](std::string_view ending) { return lowered.ends_with(ending); });
}

}  // namespace dalle1
