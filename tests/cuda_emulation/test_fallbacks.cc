// What the backend does where the libraries have no algorithm: the emulated ones are told to refuse.
#include <cublasLt.h>
#include <cudnn.h>

#include "tests/core/device_work.h"
#include "tests/support/cuda_check.h"

namespace dalle1::test {
namespace {

using cuda_emulation::ConvolutionRefusal;
using cuda_emulation::Refusal;

struct Refusals {
  ~Refusals() {
    cuda_emulation::refuse_product = nullptr;
    cuda_emulation::refuse_convolution = nullptr;
  }
};

// Every epilogue, batches that are added, and odd numbers of columns.
Values product_work(Device& device, DType dtype) {
  constexpr int64_t rows = 6, in = 9, out = 15;
  Kernels& kernels = device.kernels();
  const Tensor x = random_tensor(device, {rows, in}, 1, dtype),
               w = random_tensor(device, {out, in}, 2, dtype), bias = random_tensor(device, {out}, 3);
  const Tensor residual = random_tensor(device, {rows, out}, 4, dtype);
  Tensor biased = Tensor::empty(device, residual.shape(), dtype), activated = biased.clone(),
         added = biased.clone(), batched = random_tensor(device, {2, in, in}, 5);
  kernels.linear({x, w, &bias, biased});
  kernels.linear_fused({x, w, &bias, activated}, {Unary::gelu_tanh});
  kernels.linear_fused({x, w, &bias, added}, {std::nullopt, &residual});
  const Tensor pair = random_tensor(device, {2, rows, in}, 6, dtype);
  kernels.matmul(pair, pair, {.transpose_a = true, .accumulate = true}, batched);
  Values values;
  for (const Tensor& y : {biased, activated, added, batched}) append(values, y);
  return values;
}

void check_products(const std::function<bool(const EmulatedProduct&, const EmulatedMatrix&)>& is_missing) {
  const Refusals guard;
  const auto cpu = make_cpu_device(1);
  const Values expected = product_work(*cpu, DType::f32);
  for (const Refusal refusal : {Refusal::no_results, Refusal::failed_result, Refusal::failed_run}) {
    int refused = 0;
    cuda_emulation::refuse_product = [&](const EmulatedProduct& product, const EmulatedMatrix& operand) {
      if (!is_missing(product, operand)) return Refusal::none;
      ++refused;
      return refusal;
    };
    const auto cuda = make_cuda_device(0);
    check_close("f32", product_work(*cuda, DType::f32), expected, 1e-5);
    check_close("bf16", product_work(*cuda, DType::bf16), expected, 1e-2);
    CHECK(refused > 0);
  }
}

void check_convolutions(ConvolutionRefusal refusal, const std::function<bool(cudnnMathType_t)>& is_missing) {
  const Refusals guard;
  const auto cpu = make_cpu_device(1);
  for (const Conv2dGeometry& geometry :
       {Conv2dGeometry{}, Conv2dGeometry{1, 1, 1, 1, 1}, Conv2dGeometry{2, 0, 0, 1, 1}})
    for (const int64_t kernel : {1, 3}) {
      const Values expected = convolution_work(*cpu, DType::f32, geometry, 3, kernel);
      int refused = 0;
      cuda_emulation::refuse_convolution = [&](const EmulatedPicture&, const EmulatedPicture&,
                                               cudnnMathType_t math) {
        if (!is_missing(math)) return ConvolutionRefusal::none;
        ++refused;
        return refusal;
      };
      const auto cuda = make_cuda_device(0);
      check_close("f32", convolution_work(*cuda, DType::f32, geometry, 3, kernel), expected, 1e-5);
      check_close("bf16", convolution_work(*cuda, DType::bf16, geometry, 3, kernel), expected, 1e-2);
      CHECK(refused > 0);
    }
}

bool always(cudnnMathType_t) { return true; }

}  // namespace

TEST_CASE("CUDA: a product without an algorithm for its epilogue goes in steps") {
  check_products([](const EmulatedProduct& product, const EmulatedMatrix&) {
    return product.epilogue != CUBLASLT_EPILOGUE_DEFAULT;
  });
}

TEST_CASE("CUDA: a bf16 product without any algorithm goes in f32") {
  check_products(
      [](const EmulatedProduct&, const EmulatedMatrix& operand) { return operand.type == CUDA_R_16BF; });
}

TEST_CASE("CUDA: a product without any algorithm is an error") {
  const Refusals guard;
  cuda_emulation::refuse_product = [](const EmulatedProduct&, const EmulatedMatrix&) {
    return Refusal::no_results;
  };
  CHECK_THROWS_WITH_AS(product_work(*make_cuda_device(0), DType::bf16),
                       "cuBLASLt has no algorithm for a product of 6 x 9 x 15 in 1 batches", Error);
}

TEST_CASE("CUDA: a convolution without an algorithm is a product of patches") {
  check_convolutions(ConvolutionRefusal::no_proposals, always);
  check_convolutions(ConvolutionRefusal::not_deterministic, always);
  check_convolutions(ConvolutionRefusal::no_workspace, always);
  check_convolutions(ConvolutionRefusal::failed_run, always);
}

TEST_CASE("CUDA: a bf16 convolution takes the math type that there is, an f32 one no other than its own") {
  cuda_emulation::math_used.clear();
  check_convolutions(ConvolutionRefusal::no_proposals,
                     [](cudnnMathType_t math) { return math != CUDNN_FMA_MATH; });
  CHECK(cuda_emulation::math_used.contains(CUDNN_FMA_MATH));
  cuda_emulation::math_used.clear();
  convolution_work(*make_cuda_device(0), DType::f32, {}, 3, 3);
  CHECK(cuda_emulation::math_used == std::set<cudnnMathType_t>{CUDNN_FMA_MATH});
}

}  // namespace dalle1::test
