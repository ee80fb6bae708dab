// What the machine can do, measured in the run whose figures it stands beside.
#pragma once

#include "core/cpu/peak.h"
#include "core/nn/precision.h"
#include "tools/program/options.h"

namespace dalle1::tools {

/// Of the CPU in f32; of a GPU in bf16 products, and a copy in place of reading memory.
cpu::MachinePeak peak_of(Device& device);

/// --precision of a benchmark of dVAE or CLIP: auto (the device's usual one), f32 or bf16.
void add_bench_precision(CLI::App& app, CommonOptions& common);
Precision bench_precision(const CommonOptions& common, const Device& device);

}  // namespace dalle1::tools
