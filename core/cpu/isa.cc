#include "core/cpu/isa.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <oneapi/dnnl/dnnl.hpp>

#include "core/error.h"

namespace dalle1::cpu {
namespace {

struct Entry {
  Isa isa;
  std::string_view name;
  dnnl::cpu_isa widest;  // for oneDNN
};
constexpr std::array kEntries{Entry{Isa::avx2, "avx2", dnnl::cpu_isa::avx2},
                              Entry{Isa::avx512, "avx512", dnnl::cpu_isa::avx512_core},
                              Entry{Isa::vnni, "vnni", dnnl::cpu_isa::avx512_core_vnni},
                              Entry{Isa::bf16, "bf16", dnnl::cpu_isa::avx512_core_bf16},
                              Entry{Isa::amx, "amx", dnnl::cpu_isa::avx512_core_amx}};

bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}

// Leaf 7 of cpuid: what clang's __builtin_cpu_supports does not know.
struct Leaf7 {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  explicit Leaf7(unsigned subleaf) {
    if (!__get_cpuid_count(7, subleaf, &eax, &ebx, &ecx, &edx)) eax = ebx = ecx = edx = 0;
  }
};

bool has_tiles() {
  constexpr unsigned bf16 = 1u << 22, tile = 1u << 24, int8 = 1u << 25, all = bf16 | tile | int8;
  return (Leaf7(0).edx & all) == all;
}

// Linux lets a process use tiles only after it has asked.
bool tiles_granted() {
  constexpr int request_permission = 0x1023, tile_data = 18;  // arch_prctl(2)
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

// The widest set that DALLE1_ISA allows, or null.
const Entry* limit() {
  const char* wanted = std::getenv("DALLE1_ISA");
  if (!wanted || !*wanted) return nullptr;
  for (const Entry& entry : kEntries) {
    if (entry.name != wanted) continue;
    check(supports(entry.isa), ErrorKind::usage, "DALLE1_ISA is {}, which this processor does not have",
          wanted);
    return &entry;
  }
  fail(ErrorKind::usage, "DALLE1_ISA is '{}'; it must be avx2, avx512, vnni, bf16 or amx", wanted);
}

}  // namespace

bool has_avx_vnni() { return supports(Isa::avx2) && (Leaf7(1).eax & (1u << 4)) != 0; }

std::string_view name_of(Isa isa) { return kEntries[static_cast<size_t>(isa)].name; }

bool supports(Isa isa) {
  switch (isa) {
    case Isa::avx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case Isa::avx512:
      return has_avx512();
    case Isa::vnni:
      return has_avx512() ? __builtin_cpu_supports("avx512vnni") : has_avx_vnni();
    case Isa::bf16:
      return has_avx512() && __builtin_cpu_supports("avx512bf16");
    case Isa::amx:
      return has_tiles() && tiles_granted();
  }
  return false;
}

bool may_use(Isa isa) {
  static const Entry* const widest = limit();
  return supports(isa) && (!widest || isa <= widest->isa);
}

Isa best_isa() {
  static const Isa best = may_use(Isa::avx512) ? Isa::avx512 : Isa::avx2;
  return best;
}

std::string usable_isas() {
  std::string names;
  for (const Entry& entry : kEntries)
    if (may_use(entry.isa)) names += (names.empty() ? "" : ", ") + std::string(entry.name);
  return names;
}

void limit_onednn() {
  may_use(Isa::avx2);  // reports what DALLE1_ISA says wrongly
  if (const Entry* widest = limit()) dnnl::set_max_cpu_isa(widest->widest);
}

}  // namespace dalle1::cpu
