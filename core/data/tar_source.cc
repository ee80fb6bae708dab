// Webdataset shards: an index from one pass over the headers, then reads by offset.
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/data/pair_fields.h"
#include "core/data/pair_source.h"
#include "core/error.h"
#include "core/image/image.h"

namespace dalle1 {
namespace {

/// Reads tar members one after the other from any header's offset on.
class TarCursor {
 public:
  TarCursor(const std::filesystem::path& path, uint64_t offset) : path_(path), start_(offset), next_(offset) {
    file_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    check(file_ >= 0, ErrorKind::input, "{}: cannot be opened: {}", path.string(), std::strerror(errno));
    archive_ = archive_read_new();
    archive_read_support_format_tar(archive_);
    archive_read_set_read_callback(archive_, read_block);
    archive_read_set_skip_callback(archive_, skip_bytes);
    archive_read_set_callback_data(archive_, this);
    archive_read_open1(archive_);  // a failure comes back from the first next()
  }
  ~TarCursor() { close_all(); }
  TarCursor(const TarCursor&) = delete;
  TarCursor& operator=(const TarCursor&) = delete;

  /// Moves to the next member; false at the end of the archive.
  bool next() {
    const int result = archive_read_next_header(archive_, &entry_);
    if (result == ARCHIVE_EOF) return false;
    if (result != ARCHIVE_OK && result != ARCHIVE_WARN) damaged();
    return true;
  }
  bool is_file() const { return archive_entry_filetype(entry_) == AE_IFREG; }
  std::string name() const {
    const char* utf8 = archive_entry_pathname_utf8(entry_);
    if (utf8) return utf8;
    const char* stored = archive_entry_pathname(entry_);  // not UTF-8: as it is
    return stored ? stored : "";
  }
  uint64_t header_offset() const {
    return start_ + static_cast<uint64_t>(archive_read_header_position(archive_));
  }

  std::vector<uint8_t> content(uint64_t limit) {
    const int64_t size = archive_entry_size(entry_);
    check(size >= 0 && static_cast<uint64_t>(size) <= limit, ErrorKind::input,
          "{}:{}: {} bytes; at most {} are read", path_.string(), name(), size, limit);
    std::vector<uint8_t> bytes(static_cast<size_t>(size));
    const la_ssize_t got = archive_read_data(archive_, bytes.data(), bytes.size());
    if (got != size) damaged();
    return bytes;
  }

 private:
  static la_ssize_t read_block(archive* archive, void* self, const void** block) {
    auto* cursor = static_cast<TarCursor*>(self);
    ssize_t got;
    do {
      got = pread(cursor->file_, cursor->block_, sizeof cursor->block_, static_cast<off_t>(cursor->next_));
    } while (got < 0 && errno == EINTR);
    if (got < 0) archive_set_error(archive, errno, "%s", std::strerror(errno));
    if (got > 0) cursor->next_ += static_cast<uint64_t>(got);
    *block = cursor->block_;
    return got;
  }
  static la_int64_t skip_bytes(archive*, void* self, la_int64_t request) {
    auto* cursor = static_cast<TarCursor*>(self);
    // A skip past the end would hide that the file is truncated.
    const off_t end = lseek(cursor->file_, 0, SEEK_END);
    if (end < 0 || cursor->next_ + static_cast<uint64_t>(request) >= static_cast<uint64_t>(end)) return 0;
    cursor->next_ += static_cast<uint64_t>(request);
    return request;
  }
  [[noreturn]] void damaged() const {
    const char* reason = archive_error_string(archive_);
    fail(ErrorKind::input, "{}: not an uncompressed tar file, or damaged near byte {}: {}", path_.string(),
         next_, reason ? reason : "a member ends early");
  }
  void close_all() {
    archive_read_free(archive_);
    close(file_);
  }

  std::filesystem::path path_;
  uint64_t start_, next_;  // where archive_ began, where the next block is
  int file_ = -1;
  archive* archive_ = nullptr;
  archive_entry* entry_ = nullptr;
  char block_[16384];
};

/// "dir/0001.left.png" is field "left.png" of key "dir/0001".
struct MemberName {
  std::string key, field;

  explicit MemberName(const std::string& name) {
    const size_t slash = name.rfind('/');
    const size_t dot = name.find('.', slash == std::string::npos ? 0 : slash + 1);
    key = name.substr(0, dot);
    if (dot != std::string::npos) field = name.substr(dot + 1);
  }
};

class TarSource : public PairSource {
 public:
  explicit TarSource(const std::vector<std::filesystem::path>& shards) : shards_(shards) {
    for (uint32_t shard = 0; shard < shards_.size(); ++shard) index_shard(shard);
    check(!samples_.empty(), ErrorKind::input, "{}: no sample with a .png or .jpg picture in {} tar files",
          shards_.empty() ? "data" : shards_[0].string(), shards_.size());
  }
  uint64_t size() const override { return samples_.size(); }

  Pair read(uint64_t index) const override {
    const Entry& entry = samples_.at(index);
    Pair pair;
    pair.encoded = read_member(entry.shard, entry.picture, kMaxImageFileBytes, pair.key);
    if (entry.caption == kNone) return pair;
    std::string caption_key;
    const std::vector<uint8_t> caption =
        read_member(entry.shard, entry.caption, kMaxCaptionBytes, caption_key);
    pair.caption =
        caption_key.ends_with("json") ? caption_of_json(caption, caption_key) : trimmed_caption(caption);
    return pair;
  }

 private:
  static constexpr uint64_t kNone = UINT64_MAX;
  struct Entry {
    uint32_t shard = 0;
    uint64_t picture = kNone, caption = kNone;  // offsets of the members' headers
  };

  void index_shard(uint32_t shard) {
    TarCursor cursor(shards_[shard], 0);
    std::optional<std::string> key;
    Entry sample{shard};
    bool plain_text = false;
    const auto finish = [&] {
      if (sample.picture != kNone) samples_.push_back(sample);
      sample = Entry{shard};
      plain_text = false;
    };
    while (cursor.next()) {
      if (!cursor.is_file()) continue;
      const MemberName name(cursor.name());
      if (name.field.empty()) continue;
      if (name.key != key) finish();
      key = name.key;
      if (is_picture_field(name.field)) {
        if (sample.picture == kNone) sample.picture = cursor.header_offset();
      } else if (name.field == "txt" || (name.field == "json" && !plain_text)) {
        sample.caption = cursor.header_offset();
        plain_text = name.field == "txt";
      }
    }
    finish();
  }

  /// `key` becomes SHARD:MEMBER.
  std::vector<uint8_t> read_member(uint32_t shard, uint64_t offset, uint64_t limit, std::string& key) const {
    TarCursor cursor(shards_[shard], offset);
    check(cursor.next(), ErrorKind::input, "{}: nothing at byte {} any more", shards_[shard].string(),
          offset);
    key = fmt::format("{}:{}", shards_[shard].string(), cursor.name());
    return cursor.content(limit);
  }

  static std::string caption_of_json(const std::vector<uint8_t>& bytes, const std::string& key) {
    const auto row = nlohmann::json::parse(bytes, nullptr, false);
    check(row.is_object(), ErrorKind::input, "{}: not a JSON object", key);
    for (const char* name : {"caption", "text"}) {
      if (const auto text = row.find(name); text != row.end() && text->is_string())
        return text->get<std::string>();
    }
    return "";
  }

  std::vector<std::filesystem::path> shards_;
  std::vector<Entry> samples_;
};

}  // namespace

std::unique_ptr<PairSource> open_tar_shards(const std::vector<std::filesystem::path>& shards) {
  return std::make_unique<TarSource>(shards);
}

}  // namespace dalle1
