#pragma once

#include <filesystem>
#include <optional>
#include <string_view>

#include "core/io/folder_lock.h"
#include "tools/program/options.h"

namespace dalle1::tools {

/// Makes the folder unless it is there, and holds it for this run. Error(usage) while another run holds it;
/// Error(output) when it cannot be made or is no folder. Says so where the file system has no locks.
[[nodiscard]] FolderLock hold_output_folder(const CommonOptions& common, const std::filesystem::path& folder);

/// The same for a folder that is there; nothing where there is none, which stays so.
[[nodiscard]] std::optional<FolderLock> hold_existing_folder(const CommonOptions& common,
                                                             const std::filesystem::path& folder);

/// As hold_output_folder; Error(usage) also when the folder has something in it and `may_be_used` is false:
/// the message ends with `advice`, which says what to do then.
[[nodiscard]] FolderLock make_output_folder(const CommonOptions& common, const std::filesystem::path& folder,
                                            bool may_be_used, std::string_view advice);

}  // namespace dalle1::tools
