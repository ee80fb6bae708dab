// Pictures with captions, by index: one interface over a folder, a captions.jsonl and webdataset tar shards.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/data/data_summary.h"

namespace dalle1 {

/// One picture as it is stored, not yet decoded.
struct Pair {
  std::string key;               ///< names the picture in messages: its path, or SHARD.tar:MEMBER
  std::string caption;           ///< UTF-8 without white space around it; empty when there is none
  std::vector<uint8_t> encoded;  ///< PNG or JPEG
};

/// Random access; all of it may be called from several threads at once. Reading is Error(input) that names
/// the file when the picture or the caption cannot be read.
class PairSource {
 public:
  virtual ~PairSource() = default;
  virtual uint64_t size() const = 0;
  virtual Pair picture(uint64_t index) const = 0;  ///< Its caption is left empty and not looked at.
  virtual std::string caption(uint64_t index) const = 0;
  /// What was found when the source was opened.
  virtual DataSummary summary() const { return {.samples = size()}; }

  Pair read(uint64_t index) const;  ///< Both.
};

/// All .png, .jpg and .jpeg files below a folder, sorted by path; hidden ones are left out. NAME.txt beside a
/// picture is its caption. Here and below the case of an ending does not matter.
std::unique_ptr<PairSource> open_picture_folder(const std::filesystem::path& folder);

/// One JSON object a line: {"image": PATH, "caption": TEXT}, or "file_name" and "text", the path relative to
/// the file. A caption that is a list of texts makes one pair of each; null and an empty list are no caption.
/// A line that cannot be used is a broken sample: reading it says why, with the line's number. Error(input)
/// when no line can be used. `folder`: what paths are relative to instead; empty: as said.
std::unique_ptr<PairSource> open_captions_jsonl(const std::filesystem::path& file,
                                                const std::filesystem::path& folder = {});

/// The captions.jsonl of a folder, else its metadata.jsonl; empty when it has neither.
std::filesystem::path captions_file_in(const std::filesystem::path& folder);

/// Webdataset shards: uncompressed tar files in the order given. Members of a shard form a sample wherever
/// they stand in it (ShardMembers tells which). The picture is in png, jpg or jpeg, the caption in txt, else
/// in the "caption" or "text" of json, as in a captions.jsonl. Opening reads all member headers and json
/// once; the contents are read on demand. `beside` is what else was found with the shards.
std::unique_ptr<PairSource> open_tar_shards(const std::vector<std::filesystem::path>& shards,
                                            DataSummary beside = {});

/// Any of these by what `where` is: a folder with a captions_file_in, with .tar files or with pictures; a
/// .jsonl file; a .tar file or a brace list of them (DATA/{000..017}.tar, DATA/{train,test}.tar).
/// Error(input) when there is nothing.
std::unique_ptr<PairSource> open_pairs(const std::string& where);

/// {a,b} and {07..12} expanded, the last group fastest; text without braces is returned as it is.
/// Error(usage) for an unclosed or malformed group and for more than a million results.
std::vector<std::string> expand_braces(std::string_view pattern);

}  // namespace dalle1
