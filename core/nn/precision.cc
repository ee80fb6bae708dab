#include "core/nn/precision.h"

#include <array>

#include "core/error.h"

namespace dalle1 {
namespace {

constexpr std::array<std::string_view, 3> kNames{"f32", "bf16", "int8"};

}  // namespace

Precision::Precision(DType parameters)
    : parameters(parameters),
      compute(parameters),
      activations(parameters == DType::i8 ? DType::f32 : parameters),
      cache(parameters == DType::f32 ? DType::f32 : DType::bf16) {}

Precision Precision::training(DType compute, const Device& device) {
  Precision precision;
  precision.compute = compute;
  if (!device.is_cpu()) precision.activations = compute;
  return precision;
}

Precision Precision::without_int8() const { return parameters == DType::i8 ? Precision() : *this; }

std::string_view name_of(PrecisionName name) { return kNames[static_cast<size_t>(name)]; }

PrecisionName precision_from_name(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i)
    if (kNames[i] == name) return static_cast<PrecisionName>(i);
  fail(ErrorKind::usage, "no precision '{}'; there are f32, bf16 and int8", name);
}

void check_precision(PrecisionName name, const Device& device) {
  check(name != PrecisionName::int8 || device.is_cpu(), ErrorKind::usage,
        "precision int8 is for the CPU; on a GPU use bf16 or f32");
  check(name != PrecisionName::bf16 || device.multiplies_bf16(), ErrorKind::usage,
        "precision bf16 needs a GPU or a processor with AVX512-BF16 or AMX; use int8 or f32");
}

PrecisionName usual_precision(const Device& device) {
  return device.is_cpu() ? PrecisionName::f32 : PrecisionName::bf16;
}

ModelPrecisions precisions_of(PrecisionName name, const Device& device) {
  if (name == PrecisionName::f32) return {};
  if (!device.is_cpu()) return {DType::bf16, DType::bf16};
  return {DType::i8, name == PrecisionName::bf16 ? Precision::training(DType::bf16, device) : Precision()};
}

}  // namespace dalle1
