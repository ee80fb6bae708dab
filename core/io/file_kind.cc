#include "core/io/file_kind.h"

#include <algorithm>

namespace dalle1 {
namespace {

using namespace std::string_view_literals;

constexpr size_t kLooked = 512;  // bytes at the beginning; a tar's magic is at 257

struct Magic {
  size_t offset;
  std::string_view bytes;
  std::string_view kind;
};

constexpr Magic kMagics[] = {
    {0, "version https://git-lfs"sv, "a Git LFS pointer (git lfs pull brings the file itself)"},
    {0, "\x1f\x8b"sv, "a gzip file (gunzip unpacks it)"},
    {0,
     "\xfd"
     "7zXZ\0"sv,
     "an xz file (unxz unpacks it)"},
    {0, "\x28\xb5\x2f\xfd"sv, "a zstd file (unzstd unpacks it)"},
    {0, "BZh"sv, "a bzip2 file (bunzip2 unpacks it)"},
    {0, "\x04\x22\x4d\x18"sv, "an lz4 file (unlz4 unpacks it)"},
    {0, "7z\xbc\xaf\x27\x1c"sv, "a 7z archive (unpack it first)"},
    {0, "Rar!\x1a\x07"sv, "a RAR archive (unpack it first)"},
    {257, "ustar"sv, "a tar archive (unpack it first)"},
    {0, "PK\3\4"sv, "a zip archive: PyTorch weights, or something to be unpacked first"},
    {0, "PK\5\6"sv, "an empty zip archive"},
    {0, "\x89PNG\r\n\x1a\n"sv, "a PNG picture"},
    {0, "\xff\xd8\xff"sv, "a JPEG picture"},
    {0, "GIF8"sv, "a GIF picture (convert it to PNG)"},
    {8, "WEBP"sv, "a WebP picture (convert it to PNG)"},
    {4, "ftypheic"sv, "a HEIC picture (convert it to PNG or JPEG)"},
    {4, "ftypheix"sv, "a HEIC picture (convert it to PNG or JPEG)"},
    {4, "ftypmif1"sv, "a HEIF picture (convert it to PNG or JPEG)"},
    {4, "ftypavif"sv, "an AVIF picture (convert it to PNG)"},
    {4, "ftyp"sv, "a video in an MP4 container"},
    {0, "II*\0"sv, "a TIFF picture (convert it to PNG)"},
    {0, "MM\0*"sv, "a TIFF picture (convert it to PNG)"},
    {0, "8BPS"sv, "a Photoshop document (export it as PNG)"},
    {0, "%PDF"sv, "a PDF document"},
    {0, "GGUF"sv, "a GGUF model of llama.cpp's family"},
    {0, "\x89HDF\r\n\x1a\n"sv, "an HDF5 file, perhaps Keras weights"},
    {4, "TFL3"sv, "a TensorFlow Lite model"},
    {0, "\x93NUMPY"sv, "a NumPy array"},
    {0,
     "\x7f"
     "ELF"sv,
     "a program or a library"}};

std::string_view without_space(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // byte order mark
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  return text;
}

bool begins_with_any_case(std::string_view text, std::string_view lower) {
  return text.size() >= lower.size() &&
         std::equal(lower.begin(), lower.end(), text.begin(),
                    [](char a, char b) { return a == (b >= 'A' && b <= 'Z' ? b - 'A' + 'a' : b); });
}

bool is_text(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x20 ? byte != 0x7f : byte == '\t' || byte == '\n' || byte == '\r' || byte == '\f';
  });
}

std::string_view text_kind(std::string_view text) {
  const std::string_view start = without_space(text);
  for (const std::string_view tag : {"<!doctype html"sv, "<html"sv, "<head"sv, "<body"sv})
    if (begins_with_any_case(start, tag))
      return "an HTML page, as a login or an error gives instead of a download (download the file again)";
  if (start.starts_with("<?xml") || start.starts_with("<Error")) return "an XML document";
  if (!is_text(text)) return {};
  if (start.empty()) return "blank";
  return start[0] == '{' || start[0] == '[' ? "JSON text" : "text";
}

// Formats whose first bytes are a beginning rather than a name.
std::string_view serialised_kind(std::string_view head) {
  const auto byte = [&](size_t i) { return i < head.size() ? static_cast<unsigned char>(head[i]) : 0; };
  if (head.size() > 8 && without_space(head.substr(8)).starts_with('{') && byte(6) == 0 && byte(7) == 0)
    return "a safetensors file";
  if (head.starts_with("BM") && head.size() >= 10 && head.substr(6, 4) == std::string_view("\0\0\0\0", 4))
    return "a BMP picture (convert it to PNG)";
  if (byte(0) == 0x80 && byte(1) >= 2 && byte(1) <= 5)
    return "a Python pickle that is not one of torch.save's (save the state dict with torch.save)";
  // ONNX: version of the format, then the producer's name.
  if (byte(0) == 8 && byte(1) < 32 && byte(2) == 0x12) return "an ONNX model";
  const bool map = (byte(0) > 0x80 && byte(0) <= 0x8f) || byte(0) == 0xde;
  const auto key = byte(byte(0) == 0xde ? 3 : 1);
  if (map && ((key > 0xa0 && key <= 0xbf) || key == 0xd9)) return "MessagePack, perhaps Flax weights";
  return {};
}

}  // namespace

std::string_view file_kind(std::span<const uint8_t> bytes) {
  const std::string_view head(reinterpret_cast<const char*>(bytes.data()), std::min(bytes.size(), kLooked));
  if (head.empty()) return "an empty file";
  for (const Magic& magic : kMagics)
    if (head.size() >= magic.offset && head.substr(magic.offset).starts_with(magic.bytes)) return magic.kind;
  const std::string_view serialised = serialised_kind(head);
  return serialised.empty() ? text_kind(head) : serialised;
}

}  // namespace dalle1
