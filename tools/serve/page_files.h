// The page that people draw with: the files of tools/serve/page, which the build puts into the program.
#pragma once

#include <span>
#include <string_view>

namespace dalle1::serve {

struct PageFile {
  std::string_view path;  ///< "/draw.js"; "/" for the page itself.
  std::string_view type;  ///< Its content type.
  std::string_view content;
};

std::span<const PageFile> page_files();

}  // namespace dalle1::serve
