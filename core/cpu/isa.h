// Instruction sets for which the vector kernels are compiled, and the choice between them at run time.
#pragma once

#include <cstdint>

namespace dalle1::cpu {

enum class Isa : uint8_t { avx2, avx512 };

/// Whether this processor runs kernels compiled for `isa`.
bool supports(Isa isa);
/// The widest that this processor supports.
Isa best_isa();

}  // namespace dalle1::cpu
