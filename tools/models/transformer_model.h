// The transformer that the options name, on a device; the precision of all models.
#pragma once

#include "core/nn/precision.h"
#include "tools/models/models.h"
#include "transformer/model.h"

namespace dalle1::tools {

/// Of a model that draws or scores: --precision; with auto what the model directory of the transformer
/// advises for the CPU (the member "precision" of its "sampling"), else the device's usual one. Error(usage)
/// when the device does not have it.
PrecisionName precision_name_of(const CommonOptions& common, const Device& device);

/// --kv-dtype: "auto" on a CPU is bf16 beside int8 and f32 else; on a GPU it stays, and whoever plans the
/// memory decides.
std::string kv_dtype_of(const std::string& wanted, PrecisionName precision, const Device& device);

/// From --transformer or the model, with its parameters loaded, ready to draw.
std::unique_ptr<transformer::Transformer> open_transformer(const CommonOptions& common, Device& device);

}  // namespace dalle1::tools
