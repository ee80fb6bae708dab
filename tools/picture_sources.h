// Several sets of pictures on the command line.
#pragma once

#include <memory>
#include <string>

#include "core/data/pair_source.h"

namespace dalle1::tools {

/// The sets of a list, as one: commas separate them, except inside braces. Each is what open_pairs takes.
std::shared_ptr<PairSource> open_picture_sources(const std::string& list);

}  // namespace dalle1::tools
