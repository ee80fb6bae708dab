// The files of a folder that data may be in.
#pragma once

#include <filesystem>
#include <vector>

#include "core/data/data_summary.h"

namespace dalle1 {

/// Sorted by path.
struct FolderFiles {
  std::vector<std::filesystem::path> pictures, texts, tars, compressed_tars;
  /// Hidden files and folders, pictures of kinds that are not decoded, and what bears the name of data and is
  /// no regular file, such as a link to nothing. No samples.
  DataSummary summary;
};

/// Of the folder itself, or of everything below it. Error(input) when it cannot be listed.
FolderFiles list_folder(const std::filesystem::path& folder, bool recursive);

}  // namespace dalle1
