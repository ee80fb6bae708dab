// The dVAE that the options name, on a device.
#pragma once

#include "core/image/image.h"
#include "dvae/dvae.h"
#include "tools/models/models.h"

namespace dalle1::tools {

/// From --dvae or the model, with its parameters loaded.
std::unique_ptr<dvae::Dvae> open_dvae(const CommonOptions& common, Device& device);

/// Pictures as RGB; with `size` above 0 shrunk or enlarged to squares of that side, as OpenAI's notebook does
/// it (Lanczos on the shorter side, then the centre). Error(input) names a picture that cannot be read.
std::vector<Image> read_pictures(const std::vector<std::string>& paths, int size);

}  // namespace dalle1::tools
