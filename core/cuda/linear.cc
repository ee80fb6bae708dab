#include "core/cuda/converted.h"
#include "core/cuda/products.h"

namespace dalle1 {
namespace {

int64_t leading(const Tensor& x) {
  int64_t batch = 1;
  for (int axis = 0; axis + 2 < x.rank(); ++axis) batch *= x.dim(axis);
  return batch;
}

// bf16 as soon as one operand is: the other is then rounded.
DType operand_type(const Tensor& a, const Tensor& b) {
  for (const Tensor* x : {&a, &b})
    check(x->dtype() == DType::f32 || x->dtype() == DType::bf16, ErrorKind::internal,
          "a CUDA product of a tensor of {}", name_of(x->dtype()));
  return a.dtype() == DType::bf16 || b.dtype() == DType::bf16 ? DType::bf16 : DType::f32;
}

// The bare product in f32, then what goes with it kernel by kernel, rounded once at the end.
void multiply_in_steps(CudaKernels::Products& products, const CudaKernels::Products::Shape& shape,
                       const Tensor& a, const Tensor& b, const Tensor* bias, const Tensor& c, Tensor& y) {
  Kernels& kernels = y.kernels();
  CudaKernels::Products::Shape bare = shape;
  bare.bias = bare.gelu = bare.accumulate = false;
  bare.result = DType::f32;
  Tensor whole = Tensor::empty(y.device(), y.shape());
  const auto run = [&](const Tensor& left, const Tensor& right) {
    bare.operands = left.dtype();
    return products.run(bare, left.raw(), right.raw(), nullptr, whole.raw(), whole.raw());
  };
  check(run(a, b) || (a.dtype() != DType::f32 && run(a.to(DType::f32), b.to(DType::f32))), ErrorKind::device,
        "cuBLASLt has no algorithm for a product of {} x {} x {} in {} batches", shape.m, shape.k, shape.n,
        shape.batch);
  if (bias) kernels.binary(Binary::add, whole, *bias, whole);
  if (shape.gelu) kernels.unary(Unary::gelu_tanh, whole, whole);
  if (shape.accumulate) return kernels.binary(Binary::add, c, whole, y);
  kernels.cast(whole, y);
}

// `c` is added if the shape accumulates: y itself or another of its type.
void multiply(CudaKernels::Products& products, CudaKernels::Products::Shape shape, const Tensor& a,
              const Tensor& b, const Tensor* bias, const Tensor& c, Tensor& y) {
  shape.operands = operand_type(a, b);
  shape.result = y.dtype();
  shape.bias = bias != nullptr;
  // Weights come second, in `b`: their rounded copy is kept. An activation's would outlive its use.
  const Tensor left = a.to(shape.operands), right = cuda::converted(b, shape.operands);
  const Tensor offset = bias ? cuda::converted(*bias, y.dtype()) : Tensor();
  // cuBLASLt has no f32 product of a bf16 result.
  const bool is_known = shape.operands != DType::f32 || y.dtype() == DType::f32;
  if (!is_known ||
      !products.run(shape, left.raw(), right.raw(), bias ? offset.raw() : nullptr, c.raw(), y.raw()))
    multiply_in_steps(products, shape, left, right, bias, c, y);
}

}  // namespace

CudaKernels::CudaKernels(CudaDevice& device) : device_(device) {}
CudaKernels::~CudaKernels() = default;

CudaKernels::Products& CudaKernels::products() {
  if (!products_) products_ = std::make_shared<Products>(device_);
  return *products_;
}

void CudaKernels::linear(const LinearArguments& a) { linear_fused(a, {}); }

void CudaKernels::linear_fused(const LinearArguments& a, const LinearEpilogue& epilogue) {
  if (a.y.numel() == 0) return;
  // What cuBLASLt does within the product: tanh-GELU to bf16 accuracy, or the sum with the residual.
  const bool gelu =
      epilogue.activation == Unary::gelu_tanh && a.y.dtype() == DType::bf16 && !epilogue.residual;
  if (epilogue.activation && !gelu) return Kernels::linear_fused(a, epilogue);
  Products::Shape shape;
  shape.n = a.w.dim(0);
  shape.k = a.w.dim(1);
  shape.m = a.y.numel() / shape.n;
  shape.transpose_b = true;
  shape.gelu = gelu;
  shape.accumulate = epilogue.residual != nullptr;
  multiply(products(), shape, a.x, a.w, a.bias, epilogue.residual ? *epilogue.residual : a.y, a.y);
}

void CudaKernels::training_linear(const LinearArguments& a, DType) { linear(a); }

void CudaKernels::matmul(const Tensor& a, const Tensor& b, const MatmulOptions& options, Tensor& y) {
  if (y.numel() == 0) return;
  Products::Shape shape;
  shape.batch = leading(y);
  shape.a_batch = leading(a);
  shape.b_batch = leading(b);
  shape.m = y.dim(-2);
  shape.n = y.dim(-1);
  shape.k = a.dim(options.transpose_a ? -2 : -1);
  shape.transpose_a = options.transpose_a;
  shape.transpose_b = options.transpose_b;
  shape.accumulate = options.accumulate;
  if (shape.k == 0) {
    if (!options.accumulate) device_.fill_zero(y.raw(), y.bytes());
    return;
  }
  multiply(products(), shape, a, b, nullptr, y, y);
}

}  // namespace dalle1
