// The models that the options name, as rerank's set.
#pragma once

#include "rerank/model_set.h"
#include "tools/models/models.h"

namespace dalle1::tools {

enum class Judges : uint8_t { of_scorer, all };  ///< The CLIP and the captioner that are opened.

/// On the device and in the precision of the options, opened and checked for `scorer`, not loaded; an empty
/// one is what the model advises. That advice is about the folder's own parts: with --transformer, --dvae or
/// --clip there is none. Errors as of open_part() and rerank::ModelSet.
rerank::ModelSet open_model_set(const CommonOptions& common, const std::string& scorer,
                                Judges judges = Judges::of_scorer);

}  // namespace dalle1::tools
