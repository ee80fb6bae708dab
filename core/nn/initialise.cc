#include "core/nn/initialise.h"

#include "core/random/philox.h"

namespace dalle1::nn {

void fill_normal(const Tensor& parameter, float deviation, uint64_t seed, uint32_t index) {
  check(parameter.dtype() == DType::f32, ErrorKind::internal, "first values are f32, not {}",
        name_of(parameter.dtype()));
  RandomStream random(seed, Stream::initialisation, index);
  std::vector<float> values(static_cast<size_t>(parameter.numel()));
  for (float& value : values) value = deviation * random.normal();
  parameter.device().copy_from_host(parameter.raw(), values.data(), parameter.bytes());
  parameter.touch();
}

}  // namespace dalle1::nn
