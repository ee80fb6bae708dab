// Webdataset shards: an index from one pass over the headers, then reads by offset.
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "core/data/caption_text.h"
#include "core/data/no_data.h"
#include "core/data/pair_fields.h"
#include "core/data/pair_source.h"
#include "core/data/shard_members.h"
#include "core/error.h"
#include "core/image/image.h"

namespace dalle1 {
namespace {

/// Reads tar members one after the other from any header's offset on. Error(input) that names the file when
/// it is no regular file, compressed, no tar file or damaged.
class TarCursor {
 public:
  TarCursor(const std::filesystem::path& path, uint64_t offset) : path_(path), start_(offset), next_(offset) {
    open_file();
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
  bool is_file() const {
    return archive_entry_filetype(entry_) == AE_IFREG && archive_entry_hardlink(entry_) == nullptr;
  }
  bool is_folder() const { return archive_entry_filetype(entry_) == AE_IFDIR; }
  std::string name() const {
    const char* utf8 = archive_entry_pathname_utf8(entry_);
    if (utf8) return utf8;
    const char* stored = archive_entry_pathname(entry_);  // not UTF-8: as it is
    return stored ? stored : "";
  }
  uint64_t header_offset() const {
    return start_ + static_cast<uint64_t>(archive_read_header_position(archive_));
  }

  uint64_t size() const { return static_cast<uint64_t>(std::max<int64_t>(archive_entry_size(entry_), 0)); }
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
  void open_file() {
    file_ = open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a FIFO would wait for its writer
    check(file_ >= 0, ErrorKind::input, "{}: cannot be opened: {}", path_.string(), std::strerror(errno));
    struct stat status {};
    const bool regular = fstat(file_, &status) == 0 && S_ISREG(status.st_mode);
    if (!regular) close(file_);
    check(regular, ErrorKind::input, "{}: not a regular file", path_.string());
  }
  [[noreturn]] void damaged() {
    const ssize_t got = pread(file_, block_, sizeof block_, 0);
    refuse_no_data({reinterpret_cast<const uint8_t*>(block_), static_cast<size_t>(std::max<ssize_t>(got, 0))},
                   path_.string());
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

class TarSource : public PairSource {
 public:
  TarSource(const std::vector<std::filesystem::path>& shards, DataSummary beside)
      : shards_(shards), summary_(std::move(beside)) {
    for (uint32_t shard = 0; shard < shards_.size(); ++shard) index_shard(shard);
    summary_.samples = samples_.size();
    const std::string left_out = summary_.left_out_line();
    check(!samples_.empty(), ErrorKind::input, "{}: no sample with a .png or .jpg picture in {} tar files{}",
          shards_.empty() ? "data" : shards_[0].string(), shards_.size(),
          left_out.empty() ? "" : fmt::format("; left out: {}", left_out));
  }
  uint64_t size() const override { return samples_.size(); }
  DataSummary summary() const override { return summary_; }

  Pair picture(uint64_t index) const override {
    const Entry& entry = samples_.at(index);
    Pair pair;
    pair.encoded = read_member(entry.shard, entry.picture, kMaxImageFileBytes, pair.key);
    return pair;
  }
  std::string caption(uint64_t index) const override {
    const Entry& entry = samples_.at(index);
    if (entry.caption == kNoMember) return "";
    std::string name;
    const std::vector<uint8_t> bytes = read_member(entry.shard, entry.caption, kMaxCaptionBytes, name);
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (field_kind(name) == FieldKind::text) return caption_of_text(text, name);
    const std::vector<std::string> captions = captions_of_json(text, name);
    check(entry.number < captions.size(), ErrorKind::input, "{}: changed since it was opened", name);
    return captions[entry.number];
  }

 private:
  struct Entry {
    uint32_t shard, number;     // which of several captions
    uint64_t picture, caption;  // offsets of the members' headers
  };
  using Contents = std::unordered_map<uint64_t, std::vector<uint8_t>>;  // by offset

  void index_shard(uint32_t shard) {
    TarCursor cursor(shards_[shard], 0);
    ShardMembers members(summary_);
    Contents jsons;
    while (cursor.next()) {
      const std::string name = cursor.name();
      if (!cursor.is_file()) {  // a link has no content
        if (!cursor.is_folder() && field_kind(name) != FieldKind::other)
          ++summary_.left_out[left_out::kNoFile];
        continue;
      }
      members.add(name, cursor.header_offset());
      if (field_kind(name) == FieldKind::json && cursor.size() <= kMaxCaptionBytes)
        jsons[cursor.header_offset()] = cursor.content(kMaxCaptionBytes);
    }
    for (const ShardSample& sample : members.samples()) add(shard, sample, jsons);
  }

  void add(uint32_t shard, const ShardSample& sample, const Contents& jsons) {
    const auto json = jsons.find(sample.caption);
    const uint32_t captions =
        json == jsons.end() ? sample.caption != kNoMember : count_captions(json->second);
    if (captions == 0) ++summary_.without_caption;
    if (captions == 0) samples_.push_back({shard, 0, sample.picture, kNoMember});
    for (uint32_t number = 0; number < captions; ++number)
      samples_.push_back({shard, number, sample.picture, sample.caption});
  }

  /// One for what is no JSON object with a caption: reading it says why.
  static uint32_t count_captions(const std::vector<uint8_t>& json) {
    try {
      return static_cast<uint32_t>(
          captions_of_json({reinterpret_cast<const char*>(json.data()), json.size()}, "").size());
    } catch (const Error&) {
      return 1;
    }
  }

  static std::vector<std::string> captions_of_json(std::string_view text, const std::string& name) {
    return captions_of(parse_json_object(text, name), name).value_or(std::vector<std::string>());
  }

  /// `name` becomes SHARD:MEMBER.
  std::vector<uint8_t> read_member(uint32_t shard, uint64_t offset, uint64_t limit, std::string& name) const {
    TarCursor cursor(shards_[shard], offset);
    check(cursor.next(), ErrorKind::input, "{}: nothing at byte {} any more", shards_[shard].string(),
          offset);
    name = fmt::format("{}:{}", shards_[shard].string(), cursor.name());
    return cursor.content(limit);
  }

  std::vector<std::filesystem::path> shards_;
  DataSummary summary_;
  std::vector<Entry> samples_;
};

}  // namespace

std::unique_ptr<PairSource> open_tar_shards(const std::vector<std::filesystem::path>& shards,
                                            DataSummary beside) {
  return std::make_unique<TarSource>(shards, std::move(beside));
}

}  // namespace dalle1
