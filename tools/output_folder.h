#pragma once

#include <filesystem>
#include <string_view>

namespace dalle1::tools {

/// Makes the output folder. Error(usage) when it has something in it and `may_be_used` is false; the message
/// ends with `advice`, which says what to do then. Error(output) when it cannot be made or is not a folder.
void make_output_folder(const std::filesystem::path& folder, bool may_be_used, std::string_view advice);

}  // namespace dalle1::tools
