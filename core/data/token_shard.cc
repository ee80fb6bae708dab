#include "core/data/token_shard.h"

#include <zlib.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>

#include "core/error.h"

namespace dalle1 {
namespace {

static_assert(std::endian::native == std::endian::little, "token shards are little-endian");

constexpr std::string_view kShardMagic = "DALLE1TS", kEndMagic = "DALLE1TE";
constexpr uint32_t kVersion = 1;
constexpr size_t kPrefix = 16, kTrailer = 32, kRecordPrefix = 12;
constexpr size_t kMaxShardHeader = 1 << 16, kMaxCaption = 1 << 20;

uint32_t crc_of(std::span<const uint8_t> bytes) {
  return static_cast<uint32_t>(crc32_z(0, bytes.data(), bytes.size()));
}

template <typename T>
T load(const uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <typename T>
void append(std::vector<uint8_t>& out, T value) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(&value);
  out.insert(out.end(), bytes, bytes + sizeof value);
}

void check_info(const TokenShardInfo& info, std::string_view name) {
  check(info.grid >= 1 && info.grid <= 1024 && info.codes >= 2 && info.codes <= 1 << 24, ErrorKind::input,
        "{}: a grid of {} with {} codes; 1 to 1024 and 2 to 2^24 are possible", name, info.grid, info.codes);
}

std::vector<uint8_t> make_header(const TokenShardInfo& info) {
  const std::string json = nlohmann::json{
      {"grid", info.grid},
      {"codes", info.codes},
      {"dvae_sha256", info.dvae_sha256},
      {"tokenizer_sha256",
       info.tokenizer_sha256}}.dump();
  std::vector<uint8_t> header(kShardMagic.begin(), kShardMagic.end());
  append(header, kVersion);
  append(header, static_cast<uint32_t>(json.size()));
  header.insert(header.end(), json.begin(), json.end());
  return header;
}

}  // namespace

int TokenShardInfo::bits() const { return std::bit_width(static_cast<unsigned>(codes - 1)); }
size_t TokenShardInfo::packed_bytes() const { return (static_cast<size_t>(grid) * grid * bits() + 7) / 8; }

std::vector<uint8_t> pack_bits(std::span<const int32_t> values, int bits) {
  std::vector<uint8_t> packed;
  packed.reserve((values.size() * bits + 7) / 8);
  uint64_t waiting = 0;
  int count = 0;
  for (int32_t value : values) {
    waiting |= static_cast<uint64_t>(value) << count;
    for (count += bits; count >= 8; count -= 8, waiting >>= 8)
      packed.push_back(static_cast<uint8_t>(waiting));
  }
  if (count > 0) packed.push_back(static_cast<uint8_t>(waiting));
  return packed;
}

std::vector<int32_t> unpack_bits(std::span<const uint8_t> packed, size_t count, int bits) {
  check(packed.size() * 8 >= count * bits, ErrorKind::internal, "unpack: {} bytes for {} values of {} bits",
        packed.size(), count, bits);
  std::vector<int32_t> values;
  values.reserve(count);
  uint64_t waiting = 0;
  int available = 0;
  for (auto next = packed.begin(); values.size() < count;) {
    for (; available < bits; available += 8) waiting |= static_cast<uint64_t>(*next++) << available;
    values.push_back(static_cast<int32_t>(waiting & ((uint64_t{1} << bits) - 1)));
    waiting >>= bits;
    available -= bits;
  }
  return values;
}

TokenShardWriter::TokenShardWriter(const std::filesystem::path& path, const TokenShardInfo& info)
    : info_(info), file_(path) {
  check_info(info, path.string());
  const std::vector<uint8_t> header = make_header(info);
  header_crc_ = crc_of(header);
  file_.write(header.data(), header.size());
}

void TokenShardWriter::add(std::span<const int32_t> tokens, std::string_view caption, uint32_t kind) {
  const size_t expected = static_cast<size_t>(info_.grid) * info_.grid;
  check(tokens.size() == expected, ErrorKind::internal, "token shard: {} tokens for a grid of {}",
        tokens.size(), info_.grid);
  for (int32_t token : tokens) {
    check(token >= 0 && token < info_.codes, ErrorKind::internal, "token shard: token {} of {} codes", token,
          info_.codes);
  }
  check(caption.size() <= kMaxCaption, ErrorKind::input, "{}: a caption of {} bytes; at most {} are kept",
        file_.path().string(), caption.size(), kMaxCaption);
  std::vector<uint8_t> body;
  append(body, kind);
  append(body, static_cast<uint32_t>(caption.size()));
  const std::vector<uint8_t> packed = pack_bits(tokens, info_.bits());
  body.insert(body.end(), packed.begin(), packed.end());
  body.insert(body.end(), caption.begin(), caption.end());
  starts_.push_back(file_.size());
  const uint32_t crc = crc_of(body);
  file_.write(&crc, sizeof crc);
  file_.write(body.data(), body.size());
}

void TokenShardWriter::finish() {
  const uint64_t index_begin = file_.size();
  std::vector<uint8_t> index;
  for (uint64_t start : starts_) append(index, start);
  append(index, index_begin);
  std::vector<uint8_t> trailer;
  append(trailer, static_cast<uint64_t>(starts_.size()));
  append(trailer, index_begin);
  append(trailer, crc_of(index));
  append(trailer, header_crc_);
  trailer.insert(trailer.end(), kEndMagic.begin(), kEndMagic.end());
  file_.write(index.data(), index.size());
  file_.write(trailer.data(), trailer.size());
  file_.commit();
}

TokenShard::TokenShard(const std::filesystem::path& path, bool check_records)
    : name_(path.string()), file_(path) {
  read_header();
  read_index();
  for (uint64_t i = 0; check_records && i < count_; ++i) record(i);
}

void TokenShard::read_header() {
  const std::span<const uint8_t> bytes = file_.bytes();
  const bool magic =
      bytes.size() >= kPrefix && std::memcmp(bytes.data(), kShardMagic.data(), kShardMagic.size()) == 0;
  check(magic, ErrorKind::input, "{}: not a token shard", name_);
  const auto version = load<uint32_t>(&bytes[8]), length = load<uint32_t>(&bytes[12]);
  check(version == kVersion, ErrorKind::input, "{}: token shard of version {}; this program reads version {}",
        name_, version, kVersion);
  const std::string_view end(reinterpret_cast<const char*>(bytes.data() + bytes.size()) - kEndMagic.size(),
                             kEndMagic.size());
  check(length <= kMaxShardHeader && bytes.size() >= kPrefix + length + kTrailer && end == kEndMagic,
        ErrorKind::input, "{}: truncated token shard: no trailer at its end, byte {}", name_, bytes.size());
  records_begin_ = kPrefix + length;
  const uint8_t* trailer = &bytes[bytes.size() - kTrailer];
  check(crc_of(bytes.first(records_begin_)) == load<uint32_t>(trailer + 20), ErrorKind::input,
        "{}: damaged token shard: wrong checksum of the header at byte 0", name_);
  const auto json = nlohmann::json::parse(bytes.begin() + kPrefix,
                                          bytes.begin() + static_cast<long>(records_begin_), nullptr, false);
  try {
    info_ = {json.at("grid"), json.at("codes"), json.at("dvae_sha256"), json.at("tokenizer_sha256")};
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorKind::input, "{}: header of a token shard at byte {}: {}", name_, kPrefix, error.what());
  }
  check_info(info_, name_);
}

void TokenShard::read_index() {
  const std::span<const uint8_t> bytes = file_.bytes();
  const uint64_t end = bytes.size() - kTrailer;
  const uint8_t* trailer = &bytes[end];
  count_ = load<uint64_t>(trailer);
  index_begin_ = load<uint64_t>(trailer + 8);
  check(index_begin_ >= records_begin_ && index_begin_ < end && count_ < bytes.size() &&
            end - index_begin_ == (count_ + 1) * sizeof(uint64_t),
        ErrorKind::input,
        "{}: damaged token shard: trailer at byte {} says {} records and an index at byte {}", name_, end,
        count_, index_begin_);
  check(crc_of(bytes.subspan(index_begin_, end - index_begin_)) == load<uint32_t>(trailer + 16),
        ErrorKind::input, "{}: damaged token shard: wrong checksum of the index at byte {}", name_,
        index_begin_);
  const size_t least = kRecordPrefix + info_.packed_bytes();
  uint64_t expected = records_begin_;
  for (uint64_t i = 0; i < count_; ++i) {
    const uint64_t start = start_of(i), next = start_of(i + 1);
    check(start == expected && next <= index_begin_ && next >= start && next - start >= least,
          ErrorKind::input, "{}: damaged token shard: record {} from byte {} to {}", name_, i, start, next);
    expected = next;
  }
  check(expected == index_begin_ && start_of(count_) == index_begin_, ErrorKind::input,
        "{}: damaged token shard: records end at byte {}, the index begins at {}", name_, expected,
        index_begin_);
}

uint64_t TokenShard::start_of(uint64_t index) const {
  return load<uint64_t>(&file_.bytes()[index_begin_ + index * sizeof(uint64_t)]);
}

std::span<const uint8_t> TokenShard::record(uint64_t index) const {
  check(index < count_, ErrorKind::internal, "{}: record {} of {}", name_, index, count_);
  const uint64_t start = start_of(index);
  const std::span<const uint8_t> bytes = file_.bytes().subspan(start, start_of(index + 1) - start);
  check(crc_of(bytes.subspan(4)) == load<uint32_t>(bytes.data()), ErrorKind::input,
        "{}: damaged token shard: wrong checksum of record {} at byte {}", name_, index, start);
  check(bytes.size() == kRecordPrefix + info_.packed_bytes() + load<uint32_t>(&bytes[8]), ErrorKind::input,
        "{}: damaged token shard: record {} at byte {} has {} bytes, not those of its caption", name_, index,
        start, bytes.size());
  return bytes;
}

TokenRecord TokenShard::read(uint64_t index) const {
  const std::span<const uint8_t> bytes = record(index);
  TokenRecord out;
  out.kind = load<uint32_t>(&bytes[4]);
  const std::span<const uint8_t> packed = bytes.subspan(kRecordPrefix, info_.packed_bytes());
  out.tokens = unpack_bits(packed, static_cast<size_t>(info_.grid) * info_.grid, info_.bits());
  for (int32_t token : out.tokens) {
    check(token < info_.codes, ErrorKind::input, "{}: record {} at byte {}: token {} of {} codes", name_,
          index, start_of(index), token, info_.codes);
  }
  const std::span<const uint8_t> caption = bytes.subspan(kRecordPrefix + info_.packed_bytes());
  out.caption.assign(caption.begin(), caption.end());
  return out;
}

TokenShards::TokenShards(const std::filesystem::path& where, bool check_records) {
  namespace fs = std::filesystem;
  std::vector<fs::path> files;
  std::error_code error;
  if (fs::is_directory(where, error)) {
    fs::directory_iterator entry(where, error);
    for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
      const bool hidden = entry->path().filename().string().starts_with('.');  // a writer's temporary file
      if (!hidden && entry->path().extension() == ".tokens") files.push_back(entry->path());
    }
    check(!error, ErrorKind::input, "{}: cannot be listed: {}", where.string(), error.message());
    std::sort(files.begin(), files.end());
  } else {
    files.push_back(where);
  }
  check(!files.empty(), ErrorKind::input, "{}: holds no .tokens files; make them with 'dalle1 shard'",
        where.string());
  for (const fs::path& file : files) {
    shards_.emplace_back(file, check_records);
    check(shards_.back().info() == info(), ErrorKind::input,
          "{}: made with another dVAE, tokenizer or grid than {}; make both with the same", file.string(),
          files.front().string());
    ends_.push_back((ends_.empty() ? 0 : ends_.back()) + shards_.back().size());
  }
}

TokenRecord TokenShards::read(uint64_t index) const {
  check(index < size(), ErrorKind::internal, "token shards: record {} of {}", index, size());
  const auto shard = static_cast<size_t>(std::upper_bound(ends_.begin(), ends_.end(), index) - ends_.begin());
  return shards_[shard].read(index - (shard == 0 ? 0 : ends_[shard - 1]));
}

}  // namespace dalle1
