#include "core/cpu/amx_tiles.h"
#include "core/cpu/bf16_amx.h"

namespace dalle1::cpu {

const Bf16Kernels bf16_amx = {pack_bf16_rows, pack_bf16_columns, configure_tiles, release_tiles,
                              multiply_bf16_tiles};

}  // namespace dalle1::cpu
