// Files that PyTorch wrote (torch.save in both containers, TorchScript archives), read without running
// anything.
#pragma once

#include <string_view>

#include "weights/state_file.h"

namespace dalle1::weights {

/// torch.save's container before version 1.6: a pickle of this number comes first.
constexpr std::string_view torch_legacy_magic("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 14);

/// torch.save's zip container and TorchScript archives. Tensors stay in the file's memory.
StateFile read_torch_zip(const FileBytes& file);

StateFile read_torch_legacy(const FileBytes& file);

}  // namespace dalle1::weights
