// The models that the options name, as rerank's set.
#pragma once

#include "rerank/model_set.h"
#include "tools/models/models.h"

namespace dalle1::tools {

/// On the device and in the precision of the options, opened and checked for `scorer`, not loaded. Errors as
/// of open_part() and rerank::ModelSet.
rerank::ModelSet open_model_set(const CommonOptions& common, const std::string& scorer);

}  // namespace dalle1::tools
