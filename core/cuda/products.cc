#include "core/cuda/products.h"

#include <algorithm>

#include "core/cuda/cuda_error.h"

namespace dalle1 {
namespace {

using cuda::require;

cudaDataType_t type_of(DType dtype) { return dtype == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F; }

uint32_t alignment_of(const void* pointer) {
  constexpr uintptr_t kMost = 256;
  const auto address = reinterpret_cast<uintptr_t>(pointer) | kMost;
  return static_cast<uint32_t>(address & (~address + 1));
}

template <typename T>
void set(cublasLtMatmulDesc_t operation, cublasLtMatmulDescAttributes_t attribute, const T& value) {
  require(cublasLtMatmulDescSetAttribute(operation, attribute, &value, sizeof value), "describing a product");
}

template <typename T>
void set(cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t attribute, const T& value) {
  require(cublasLtMatrixLayoutSetAttribute(layout, attribute, &value, sizeof value), "describing a matrix");
}

template <typename T>
void set(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t attribute,
         const T& value) {
  require(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value),
          "choosing an algorithm");
}

}  // namespace

/// A product as cuBLASLt, which counts columns first, sees it: y^T = b^T a^T. Its "A" is our b.
struct CudaKernels::Products::Plan {
  cublasLtMatmulDesc_t operation = nullptr;
  cublasLtMatrixLayout_t a = nullptr, b = nullptr, y = nullptr;
  cublasLtMatmulAlgo_t algorithm{};
  bool possible = false, has_run = false;

  explicit Plan(const Shape& shape) {
    require(cublasLtMatmulDescCreate(&operation, CUBLAS_COMPUTE_32F, CUDA_R_32F), "describing a product");
    set(operation, CUBLASLT_MATMUL_DESC_TRANSA, shape.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(operation, CUBLASLT_MATMUL_DESC_TRANSB, shape.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
    cublasLtEpilogue_t epilogue = shape.bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
    if (shape.gelu) epilogue = shape.bias ? CUBLASLT_EPILOGUE_GELU_BIAS : CUBLASLT_EPILOGUE_GELU;
    set(operation, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue);
    const int64_t a_rows = shape.transpose_a ? shape.k : shape.m, a_columns = shape.m * shape.k / a_rows;
    const int64_t b_rows = shape.transpose_b ? shape.n : shape.k, b_columns = shape.k * shape.n / b_rows;
    a = matrix(shape.operands, a_rows, a_columns, shape.batch, shape.a_batch);
    b = matrix(shape.operands, b_rows, b_columns, shape.batch, shape.b_batch);
    y = matrix(shape.result, shape.m, shape.n, shape.batch, shape.batch);
  }
  ~Plan() {
    cublasLtMatrixLayoutDestroy(a);
    cublasLtMatrixLayoutDestroy(b);
    cublasLtMatrixLayoutDestroy(y);
    cublasLtMatmulDescDestroy(operation);
  }
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  void set_bias(const void* bias) {
    if (bias) set(operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  }

  // A row-major matrix [rows, columns], one per batch or one for all.
  static cublasLtMatrixLayout_t matrix(DType dtype, int64_t rows, int64_t columns, int64_t batch,
                                       int64_t own_batch) {
    cublasLtMatrixLayout_t layout = nullptr;
    require(cublasLtMatrixLayoutCreate(&layout, type_of(dtype), columns, rows, columns),
            "describing a matrix");
    set(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, static_cast<int32_t>(batch));
    const int64_t stride = own_batch == 1 ? 0 : rows * columns;
    set(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, stride);
    return layout;
  }

  void choose(cublasLtHandle_t handle, const Shape& shape, size_t workspace) {
    cublasLtMatmulPreference_t preference = nullptr;
    require(cublasLtMatmulPreferenceCreate(&preference), "choosing an algorithm");
    set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t{workspace});
    set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, shape.alignment[1]);
    set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, shape.alignment[0]);
    set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, shape.alignment[2]);
    set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, shape.alignment[2]);
    cublasLtMatmulHeuristicResult_t found{};
    int count = 0;
    const cublasStatus_t status =
        cublasLtMatmulAlgoGetHeuristic(handle, operation, b, a, y, y, preference, 1, &found, &count);
    cublasLtMatmulPreferenceDestroy(preference);
    possible = status == CUBLAS_STATUS_SUCCESS && count > 0 && found.state == CUBLAS_STATUS_SUCCESS;
    algorithm = found.algo;
  }
};

CudaKernels::Products::Products(CudaDevice& device)
    : device_(device), workspace_(Tensor::empty(device, {kWorkspace}, DType::u8)) {
  device.stream();
  require(cublasLtCreate(&handle_), "making a handle");
}

CudaKernels::Products::~Products() {
  plans_.clear();
  cublasLtDestroy(handle_);
}

CudaKernels::Products::Plan& CudaKernels::Products::plan(const Shape& shape, const void* bias) {
  auto& place = plans_[shape];
  if (!place) {
    auto made = std::make_unique<Plan>(shape);
    made->set_bias(bias);
    made->choose(handle_, shape, kWorkspace);
    place = std::move(made);
  }
  place->set_bias(bias);
  return *place;
}

bool CudaKernels::Products::run(Shape shape, const void* a, const void* b, const void* bias, const void* c,
                                void* y) {
  shape.alignment = {alignment_of(a), alignment_of(b), std::min(alignment_of(c), alignment_of(y))};
  const cudaStream_t stream = device_.stream();
  std::lock_guard lock(mutex_);
  Plan& found = plan(shape, bias);
  if (!found.possible) return false;
  const float one = 1.0f, beta = shape.accumulate ? 1.0f : 0.0f;
  const cublasStatus_t status =
      cublasLtMatmul(handle_, found.operation, &one, b, found.b, a, found.a, &beta, c, found.y, y, found.y,
                     &found.algorithm, workspace_.raw(), kWorkspace, stream);
  // The heuristic may propose what the library then refuses.
  found.possible = found.has_run || status != CUBLAS_STATUS_NOT_SUPPORTED;
  if (!found.possible) return false;
  require(status, "running a product");
  found.has_run = true;
  return true;
}

}  // namespace dalle1
