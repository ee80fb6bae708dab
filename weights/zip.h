// A strict reader of zip archives with stored members, as PyTorch writes them. Nothing is extracted to disk,
// nothing inflated.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "weights/file_bytes.h"

namespace dalle1::weights {

struct ZipMember {
  std::string_view name;
  uint64_t header = 0;  ///< Offset of the local header.
  uint64_t data = 0;    ///< Offset of the bytes.
  uint64_t size = 0;
  uint64_t packed = 0;  ///< Bytes in the file: `size` unless deflated.
  uint32_t crc = 0;
  uint16_t method = 0;  ///< 0: stored, 8: deflated.
  uint64_t end = 0;     ///< First byte after the data and its descriptor.
};

class ZipArchive {
 public:
  /// Checks the whole structure: the end records, every member of the central directory against its local
  /// header (name, method, sizes, checksum), no compression but of TorchScript's program text, no encryption,
  /// no duplicate or unsafe names, no overlap. Error(model) names the member and the byte.
  explicit ZipArchive(FileBytes file);

  const FileBytes& file() const { return file_; }
  const std::vector<ZipMember>& members() const { return members_; }  ///< Sorted by name.
  const ZipMember* find(std::string_view name) const;

  /// The bytes of a stored member, still in the file's memory, after a check of their CRC-32.
  std::span<const std::byte> read(const ZipMember& member) const;

 private:
  struct Directory {
    uint64_t offset = 0, size = 0, entries = 0;
  };
  Directory find_directory() const;
  uint64_t read_entry(uint64_t position, uint64_t end);
  void check_local_header(ZipMember& member, uint16_t flags) const;
  void check_descriptor(ZipMember& member) const;
  void check_no_overlap(uint64_t directory) const;

  FileBytes file_;
  std::vector<ZipMember> members_;
};

}  // namespace dalle1::weights
