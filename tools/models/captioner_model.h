// The captioner that the options name, on a device, and what it reads of pictures.
#pragma once

#include <memory>

#include "core/image/image.h"
#include "dvae/dvae.h"
#include "tools/models/models.h"
#include "transformer/captioner.h"

namespace dalle1::tools {

/// The file of the captioner's tokenizer: that of the model directory given by --captioner, else --tokenizer
/// or the model's.
std::filesystem::path find_captioner_tokenizer(const CommonOptions& common);

/// The dVAE's codes of pictures of any size, i64 [N, grid, grid], as `dalle1 shard` makes them.
Tensor codes_of(dvae::Dvae& dvae, Device& device, int grid, const std::vector<Image>& pictures);

}  // namespace dalle1::tools
