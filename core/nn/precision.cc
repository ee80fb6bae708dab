#include "core/nn/precision.h"

#include <array>

#include "core/error.h"

namespace dalle1 {
namespace {

constexpr std::array<std::string_view, 3> kNames{"f32", "bf16", "int8"};

}  // namespace

std::string_view name_of(Precision precision) { return kNames[static_cast<size_t>(precision)]; }

Precision precision_from_name(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i)
    if (kNames[i] == name) return static_cast<Precision>(i);
  fail(ErrorKind::usage, "no precision '{}'; there are f32, bf16 and int8", name);
}

void check_precision(Precision precision, const Device& device) {
  check(precision != Precision::int8 || device.is_cpu(), ErrorKind::usage,
        "precision int8 is for the CPU; on a GPU use bf16 or f32");
  check(precision != Precision::bf16 || !device.is_cpu(), ErrorKind::usage,
        "precision bf16 is for GPUs; on the CPU use int8 or f32");
}

Precision usual_precision(const Device& device) { return device.is_cpu() ? Precision::f32 : Precision::bf16; }

DType matrices_of(Precision precision) {
  return precision == Precision::int8 ? DType::i8 : convolutions_of(precision);
}

DType cache_of(Precision precision) { return precision == Precision::f32 ? DType::f32 : DType::bf16; }

DType convolutions_of(Precision precision) { return precision == Precision::bf16 ? DType::bf16 : DType::f32; }

}  // namespace dalle1
