// What the machine can do, measured in the run whose figures it stands beside.
#pragma once

#include "core/cpu/peak.h"
#include "core/tensor/device.h"

namespace dalle1::tools {

/// Of the CPU in f32; of a GPU in bf16 products, and a copy in place of reading memory.
cpu::MachinePeak peak_of(Device& device);

}  // namespace dalle1::tools
