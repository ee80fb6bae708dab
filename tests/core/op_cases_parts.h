// The parts of the op table (see op_cases.h) and what they share.
#pragma once

#include "tests/core/op_cases.h"

namespace dalle1::test {

using Inputs = std::vector<HostTensor>;
using Tensors = std::vector<Tensor>;

inline HostTensor zeros(const Shape& shape) { return {shape, std::vector<double>(shape.numel())}; }

OpCase layer_norm_case(int64_t rows, int64_t width);
/// Norms of rows, and rotary positions.
std::vector<OpCase> row_op_cases();
/// Convolutions, pools, norms and maps of pictures.
std::vector<OpCase> picture_op_cases(DType compute);

}  // namespace dalle1::test
