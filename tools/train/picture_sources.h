// Several sets of pictures on the command line.
#pragma once

#include <memory>
#include <string>

#include "core/data/pair_source.h"
#include "tools/train/data_report.h"

namespace dalle1::tools {

/// The sets of a list, as one: commas separate them, except inside braces. Each is what open_pairs takes.
/// What they hold and leave out goes into the report.
std::shared_ptr<PairSource> open_picture_sources(const std::string& list, DataReport& report);

}  // namespace dalle1::tools
