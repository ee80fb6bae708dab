#include "core/cpu/bf16_product_kernels.h"

namespace dalle1::cpu {
namespace {

void nothing() {}

}  // namespace

const Bf16Kernels bf16_avx512bf16 = {pack_bf16_rows, pack_bf16_columns, nothing, nothing,
                                     multiply_bf16_block};

}  // namespace dalle1::cpu
