#include "core/cpu/isa.h"

namespace dalle1::cpu {

bool supports(Isa isa) {
  if (isa == Isa::avx2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  // The parts of x86-64-v4, for which the wide kernels are compiled.
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}

Isa best_isa() {
  static const Isa best = supports(Isa::avx512) ? Isa::avx512 : Isa::avx2;
  return best;
}

}  // namespace dalle1::cpu
