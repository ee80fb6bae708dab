// Instruction sets for which kernels are compiled, and the choice between them at run time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace dalle1::cpu {

/// In the order in which processors gained them: avx2 with fma; avx512: the parts of x86-64-v4; vnni: 8-bit
/// products, of AVX-512 or (AVX-VNNI) of 256 bits; bf16: AVX512-BF16; amx: tiles of int8 and bf16, which the
/// kernel grants.
enum class Isa : uint8_t { avx2, avx512, vnni, bf16, amx };

std::string_view name_of(Isa isa);

/// Whether this processor runs kernels compiled for `isa`.
bool supports(Isa isa);
/// The 256-bit kind of vnni, with or without AVX-512.
bool has_avx_vnni();
/// supports(), and DALLE1_ISA (one of the names; unset: all) is not below `isa`. Error(usage) when it names
/// nothing or more than the processor has.
bool may_use(Isa isa);
/// The wider of avx2 and avx512 that may be used: what f32 kernels are compiled for.
Isa best_isa();
/// What may be used, as "avx2", or "avx2, avx512, vnni".
std::string usable_isas();
/// Keeps oneDNN within DALLE1_ISA; only before its first use.
void limit_onednn();

}  // namespace dalle1::cpu
