// The transformer that the options name, on a device.
#pragma once

#include "tools/models.h"
#include "transformer/model.h"

namespace dalle1::tools {

/// From --transformer or the model, with its parameters loaded.
std::unique_ptr<transformer::Transformer> open_transformer(const CommonOptions& common, Device& device);

}  // namespace dalle1::tools
