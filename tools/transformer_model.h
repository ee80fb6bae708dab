// The transformer that the options name, on a device; the type of all models' weights.
#pragma once

#include "tools/models.h"
#include "transformer/model.h"

namespace dalle1::tools {

/// How a model that is not trained keeps its matrices and convolutions: f32 on the CPU, bf16 on a GPU.
DType matrices_on(const Device& device);

/// From --transformer or the model, with its parameters loaded.
std::unique_ptr<transformer::Transformer> open_transformer(const CommonOptions& common, Device& device);

}  // namespace dalle1::tools
