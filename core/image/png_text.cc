// Reading the text chunks of PNG files: bounded, as the files may come from anywhere.
#include <zlib.h>

#include <algorithm>

#include "core/error.h"
#include "core/image/png.h"
#include "core/image/png_chunks.h"
#include "core/io/file_bytes.h"
#include "core/text/utf8.h"

namespace dalle1 {
namespace {

constexpr size_t kMaxTexts = 1024, kMaxTextBytes = 16 << 20;

std::string valid_utf8(std::string_view bytes) { return text::to_utf8(text::to_code_points_lossy(bytes)); }

std::string latin1_to_utf8(std::string_view bytes) {
  std::string out;
  for (char c : bytes) text::append_utf8(out, static_cast<uint8_t>(c));
  return out;
}

/// Takes fields off the front of one chunk.
class Fields {
 public:
  Fields(const PngChunk& chunk, std::string_view file)
      : rest_(reinterpret_cast<const char*>(chunk.data.data()), chunk.data.size()),
        chunk_(chunk),
        file_(file) {}

  std::string_view until_zero() {
    const size_t end = rest_.find('\0');
    require(end != std::string_view::npos, "a field does not end");
    const std::string_view field = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return field;
  }
  uint8_t byte() {
    require(!rest_.empty(), "a field is missing");
    const auto value = static_cast<uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return value;
  }
  std::string_view rest() const { return rest_; }

  std::string inflated(size_t limit) {
    std::string out;
    z_stream stream{};
    require(inflateInit(&stream) == Z_OK, "zlib cannot start");
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(rest_.data()));
    stream.avail_in = static_cast<uInt>(rest_.size());
    int result = Z_OK;
    while (result == Z_OK && out.size() <= limit) {
      char block[4096];
      stream.next_out = reinterpret_cast<Bytef*>(block);
      stream.avail_out = sizeof block;
      result = inflate(&stream, Z_NO_FLUSH);
      out.append(block, sizeof block - stream.avail_out);
    }
    inflateEnd(&stream);
    require(out.size() <= limit, "more than 16 MiB of text");
    require(result == Z_STREAM_END, "its compressed text is damaged");
    return out;
  }

  void require(bool condition, std::string_view what) const {
    check(condition, ErrorKind::input, "{}: chunk {} at byte {}: {}", file_, chunk_.type, chunk_.offset,
          what);
  }

 private:
  std::string_view rest_;
  const PngChunk& chunk_;
  std::string_view file_;
};

PngText parse_text(const PngChunk& chunk, std::string_view file, size_t limit) {
  Fields fields(chunk, file);
  const std::string_view type = chunk.type;
  const std::string keyword = latin1_to_utf8(fields.until_zero());
  bool compressed = type == "zTXt";
  if (type == "iTXt") compressed = fields.byte() != 0;
  if (type != "tEXt") fields.require(fields.byte() == 0 || !compressed, "unknown compression");
  if (type == "iTXt") fields.until_zero(), fields.until_zero();  // language, translated keyword
  fields.require(compressed || fields.rest().size() <= limit, "more than 16 MiB of text");
  const std::string content = compressed ? fields.inflated(limit) : std::string(fields.rest());
  return {keyword, type == "iTXt" ? valid_utf8(content) : latin1_to_utf8(content)};
}

}  // namespace

std::vector<PngText> read_png_text(std::span<const uint8_t> bytes, std::string_view name) {
  std::vector<PngText> texts;
  size_t left = kMaxTextBytes;
  for_each_png_chunk(bytes, name, [&](const PngChunk& chunk) {
    const std::string_view type = chunk.type;
    if (type != "iTXt" && type != "tEXt" && type != "zTXt") return;
    check(texts.size() < kMaxTexts, ErrorKind::input, "{}: more than {} texts", name, kMaxTexts);
    texts.push_back(parse_text(chunk, name, left));
    left -= std::min(left, texts.back().text.size());
  });
  return texts;
}

std::vector<PngText> read_png_text(const std::filesystem::path& path) {
  return read_png_text(read_file(path, kMaxImageFileBytes), path.string());
}

}  // namespace dalle1
