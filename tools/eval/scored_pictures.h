// Pictures with captions that are to be scored: of a run, or of a data set.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "core/data/pair_source.h"

namespace dalle1::tools {

/// `where`: the folder of a run (also one of many prompts), whose pictures have their prompt as caption, or
/// what open_pairs() takes. `keep`: of a run only the best so many of each prompt; 0: all that it kept.
/// `images`: where the pictures of a captions.jsonl are; empty: beside it. Error(input) in one line.
std::shared_ptr<const PairSource> open_scored_pictures(const std::string& where, const std::string& images,
                                                       int keep);

}  // namespace dalle1::tools
