// The lines of a text file, with their numbers.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/io/mapped_file.h"

namespace dalle1 {

class DataLines {
 public:
  /// Error(input) that names the file when it is missing, no regular file or compressed.
  explicit DataLines(const std::filesystem::path& file);

  /// The next line that is not blank, without its end (LF or CRLF), as stored: it need not be UTF-8. Nothing
  /// at the end of the file. It stays valid as long as this object.
  std::optional<std::string_view> next();
  /// "FILE, line N" of the line that next() gave last.
  std::string where() const;
  uint64_t number() const { return number_; }  ///< Of that line, from 1.

 private:
  std::string name_;
  MappedFile file_;
  std::string_view rest_;
  uint64_t number_ = 0;
};

}  // namespace dalle1
