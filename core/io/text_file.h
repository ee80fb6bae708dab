// Text files as editors on any system save them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "core/io/input_file.h"

namespace dalle1 {

/// A small text file without a byte order mark. Error(kind) that names it when it is no regular file, is too
/// large (64 MiB) or is UTF-16 or UTF-32.
std::string read_text(const std::filesystem::path& path, ErrorKind kind = ErrorKind::input);

/// The lines of a text file of any size, one after the other. A byte order mark at the start is skipped; a
/// line ends with LF or CRLF, the last one also with the file. Error(input) for what read_text refuses, for a
/// NUL byte (UTF-16 without a mark, or no text at all) and for a line of more than 64 MiB.
class TextLines {
 public:
  /// Begins at `offset`, the start of a line.
  explicit TextLines(const std::filesystem::path& path, uint64_t offset = 0);

  /// The next line without its end; false after the last.
  bool next(std::string& line);
  int64_t number() const { return number_; }  ///< Of the line that next() gave, from 1.
  bool ended() const { return ended_; }       ///< Whether that line had an end: the last one may have none.
  std::string where() const;                  ///< "PATH line 3"
  uint64_t offset() const { return next_block_ - (block_.size() - at_); }  ///< Of the line after it.

 private:
  bool refill();

  std::filesystem::path path_;
  InputFile file_;
  std::string block_;
  size_t at_ = 0;        // in block_
  uint64_t next_block_;  // in the file
  int64_t number_ = 0;
  bool ended_ = false;
};

/// Whether a line has nothing but spaces and tabs.
bool is_blank(const std::string& line);

}  // namespace dalle1
