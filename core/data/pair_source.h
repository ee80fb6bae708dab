// Pictures with captions, by index: one interface over a folder, a captions.jsonl and webdataset tar shards.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace dalle1 {

/// One picture as it is stored, not yet decoded.
struct Pair {
  std::string key;               ///< names the picture in messages: its path, or SHARD.tar:MEMBER
  std::string caption;           ///< UTF-8 as stored, without line ends around it; empty when there is none
  std::vector<uint8_t> encoded;  ///< PNG or JPEG
};

/// Random access; read() may be called from several threads at once.
class PairSource {
 public:
  virtual ~PairSource() = default;
  virtual uint64_t size() const = 0;
  /// Error(input) that names the picture when it cannot be read.
  virtual Pair read(uint64_t index) const = 0;
};

/// All .png, .jpg and .jpeg files below a folder, sorted by path; hidden ones are left out. NAME.txt beside a
/// picture is its caption.
std::unique_ptr<PairSource> open_picture_folder(const std::filesystem::path& folder);

/// One JSON object a line: {"image": PATH, "caption": TEXT}, the path relative to the file. A caption that is
/// an array of strings makes one pair of each. Error(input) with the line's number for anything else.
std::unique_ptr<PairSource> open_captions_jsonl(const std::filesystem::path& file);

/// Webdataset shards: uncompressed tar files in the order given. Members that follow each other and share a
/// key (the path up to the first '.' of its last part) form a sample; the rest of the name is the field. The
/// picture is in png, jpg or jpeg, the caption in txt, else in the "caption" or "text" of json. Samples
/// without a picture are left out. Opening reads all member headers once; the contents are read on demand.
std::unique_ptr<PairSource> open_tar_shards(const std::vector<std::filesystem::path>& shards);

/// Any of these by what `where` is: a folder with captions.jsonl, with .tar files or with pictures; a .jsonl
/// file; a .tar file or a brace list of them (DATA/{000..017}.tar, DATA/{train,test}.tar). Error(input) when
/// there is nothing.
std::unique_ptr<PairSource> open_pairs(const std::string& where);

/// {a,b} and {07..12} expanded, the last group fastest; text without braces is returned as it is.
/// Error(usage) for an unclosed or malformed group and for more than a million results.
std::vector<std::string> expand_braces(std::string_view pattern);

}  // namespace dalle1
