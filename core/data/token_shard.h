// Token shards: a training set of the transformer, as dVAE codes with their captions.
//
// Captions stay text, so that BPE dropout can cut them differently each time. One file, little endian:
//
//   byte 0     "DALLE1TS", u32 version = 1, u32 header bytes
//   byte 16    header, JSON: {"grid", "codes", "dvae_sha256", "tokenizer_sha256"}
//   records    each: u32 CRC-32 of the rest, u32 kind, u32 caption bytes,
//              grid * grid tokens in raster order packed at ceil(log2(codes)) bits, lowest bit first, padded
//              to a byte; the caption in UTF-8
//   index      (records + 1) u64: where each record begins, and where the last one ends
//   trailer    u64 records, u64 where the index begins, u32 CRC-32 of the index,
//              u32 CRC-32 of everything before the records, "DALLE1TE"
//
// Everything is written front to back; a file that was cut lacks the trailer.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/io/atomic_file.h"
#include "core/io/mapped_file.h"

namespace dalle1 {

struct TokenShardInfo {
  int grid = 0;                  ///< side of the grid of tokens, 1 to 1024
  int codes = 0;                 ///< size of the codebook, 2 to 2^24
  std::string dvae_sha256;       ///< of the dVAE that made the tokens
  std::string tokenizer_sha256;  ///< of the text tokenizer they were prepared for; may be empty
  bool operator==(const TokenShardInfo&) const = default;

  int bits() const;             ///< a token
  size_t packed_bytes() const;  ///< a grid
};

struct TokenRecord {
  std::vector<int32_t> tokens;  ///< [grid * grid], raster order, each in [0, codes)
  std::string caption;          ///< UTF-8, at most 1 MiB
  uint32_t kind = 0;            ///< free for the data's own use
};

class TokenShardWriter {
 public:
  /// Error(input) for an info out of range, Error(output) when the file cannot be created.
  TokenShardWriter(const std::filesystem::path& path, const TokenShardInfo& info);

  /// Error(internal) for the wrong number of tokens or one outside of [0, codes); Error(input) for a caption
  /// too long.
  void add(std::span<const int32_t> tokens, std::string_view caption, uint32_t kind = 0);
  uint64_t count() const { return starts_.size(); }
  uint64_t bytes() const { return file_.size(); }

  /// Writes index and trailer; the file appears. Without it nothing remains.
  void finish();

 private:
  TokenShardInfo info_;
  AtomicFile file_;
  uint32_t header_crc_;
  std::vector<uint64_t> starts_;
};

/// One shard, mapped. Reading is const and may be done by several threads.
class TokenShard {
 public:
  /// Checks structure, checksums of header and index and, unless told not to, every record (about 1 GB/s).
  /// Error(input) that names the file and the byte.
  explicit TokenShard(const std::filesystem::path& path, bool check_records = true);

  const TokenShardInfo& info() const { return info_; }
  uint64_t size() const { return count_; }
  /// Checks the record's checksum each time. Error(input) when it is damaged, Error(internal) for index >=
  /// size().
  TokenRecord read(uint64_t index) const;

 private:
  std::span<const uint8_t> record(uint64_t index) const;
  uint64_t start_of(uint64_t index) const;
  void read_header();
  void read_index();

  std::string name_;
  MappedFile file_;
  TokenShardInfo info_;
  uint64_t records_begin_ = 0, index_begin_ = 0, count_ = 0;
};

/// All *.tokens files of a folder (sorted), or one file, as one list. Error(input) when there are none or
/// when they were made with different models.
class TokenShards {
 public:
  explicit TokenShards(const std::filesystem::path& where, bool check_records = true);

  const TokenShardInfo& info() const { return shards_.front().info(); }
  uint64_t size() const { return ends_.back(); }
  TokenRecord read(uint64_t index) const;

 private:
  std::vector<TokenShard> shards_;
  std::vector<uint64_t> ends_;  // records up to and with each shard
};

/// Bit packing as in the file: value i at bits [i * bits, (i + 1) * bits), lowest bit first. 1 <= bits <= 24.
std::vector<uint8_t> pack_bits(std::span<const int32_t> values, int bits);
/// `packed` must hold `count` values: Error(internal).
std::vector<int32_t> unpack_bits(std::span<const uint8_t> packed, size_t count, int bits);

}  // namespace dalle1
