#include "cublasLt.h"

#include "core/tensor/dtype.h"

namespace {

float read(const void* data, cudaDataType_t type, int64_t i) {
  return type == CUDA_R_16BF ? dalle1::bf16_to_f32(static_cast<const uint16_t*>(data)[i])
                             : static_cast<const float*>(data)[i];
}

void write(void* data, cudaDataType_t type, int64_t i, float value) {
  if (type == CUDA_R_16BF) {
    static_cast<uint16_t*>(data)[i] = dalle1::f32_to_bf16(value);
  } else {
    static_cast<float*>(data)[i] = value;
  }
}

template <typename T>
bool take(T& target, const void* value, size_t bytes) {
  if (bytes != sizeof(T)) return false;
  std::memcpy(&target, value, bytes);
  return true;
}

float gelu(float x) { return 0.5f * x * (1.0f + std::tanh(0.79788456f * x * (1.0f + 0.044715f * x * x))); }

// Whether the shapes fit; cuBLASLt itself answers with CUBLAS_STATUS_INVALID_VALUE or worse.
bool fits(const EmulatedProduct& p, const EmulatedMatrix& a, const EmulatedMatrix& b,
          const EmulatedMatrix& d) {
  const uint64_t m = p.transpose_a ? a.columns : a.rows, k = p.transpose_a ? a.rows : a.columns;
  const uint64_t n = p.transpose_b ? b.rows : b.columns, also_k = p.transpose_b ? b.columns : b.rows;
  return m == d.rows && n == d.columns && k == also_k && a.type == b.type && a.batch == d.batch &&
         b.batch == d.batch && static_cast<uint64_t>(a.leading) >= a.rows &&
         static_cast<uint64_t>(b.leading) >= b.rows;
}

void multiply(const EmulatedProduct& p, const EmulatedMatrix& la, const void* a, const EmulatedMatrix& lb,
              const void* b, float beta, const EmulatedMatrix& lc, const void* c, const EmulatedMatrix& ld,
              void* d) {
  const int64_t k = static_cast<int64_t>(p.transpose_a ? la.rows : la.columns);
  const bool biased = p.epilogue & CUBLASLT_EPILOGUE_BIAS, activated = p.epilogue & CUBLASLT_EPILOGUE_GELU;
  const auto bias_type = p.bias_type < 0 ? ld.type : static_cast<cudaDataType_t>(p.bias_type);
  // As on a GPU, the order of a sum goes by the shape of the product.
  constexpr int kMostParts = 4;
  const int parts = 1 + static_cast<int>(ld.columns % kMostParts);
  for (int64_t batch = 0; batch < ld.batch; ++batch)
    for (int64_t column = 0; column < static_cast<int64_t>(ld.columns); ++column)
      for (int64_t row = 0; row < static_cast<int64_t>(ld.rows); ++row) {
        float sums[kMostParts] = {};
        for (int64_t i = 0; i < k; ++i) {
          const int64_t at =
              batch * la.stride + (p.transpose_a ? row * la.leading + i : i * la.leading + row);
          const int64_t bt =
              batch * lb.stride + (p.transpose_b ? i * lb.leading + column : column * lb.leading + i);
          sums[i % parts] += read(a, la.type, at) * read(b, lb.type, bt);
        }
        float sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
        if (beta != 0) sum += beta * read(c, lc.type, batch * lc.stride + column * lc.leading + row);
        if (biased) sum += read(p.bias, bias_type, row);
        write(d, ld.type, batch * ld.stride + column * ld.leading + row, activated ? gelu(sum) : sum);
      }
}

using cuda_emulation::Refusal;

Refusal refusal_of(const EmulatedProduct& product, const EmulatedMatrix& operand) {
  using cuda_emulation::refuse_product;
  return refuse_product ? refuse_product(product, operand) : Refusal::none;
}

}  // namespace

std::function<Refusal(const EmulatedProduct&, const EmulatedMatrix&)> cuda_emulation::refuse_product;

const char* cublasLtGetStatusString(cublasStatus_t status) {
  return status == CUBLAS_STATUS_SUCCESS ? "success" : "invalid value";
}
cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  *handle = nullptr;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t) { return CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* product, cublasComputeType_t, cudaDataType_t) {
  *product = new EmulatedProduct;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t product) {
  delete product;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t product,
                                              cublasLtMatmulDescAttributes_t attribute, const void* value,
                                              size_t bytes) {
  bool known = false;
  if (attribute == CUBLASLT_MATMUL_DESC_TRANSA) known = take(product->transpose_a, value, bytes);
  if (attribute == CUBLASLT_MATMUL_DESC_TRANSB) known = take(product->transpose_b, value, bytes);
  if (attribute == CUBLASLT_MATMUL_DESC_EPILOGUE) known = take(product->epilogue, value, bytes);
  if (attribute == CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE) known = take(product->bias_type, value, bytes);
  if (attribute == CUBLASLT_MATMUL_DESC_BIAS_POINTER) known = take(product->bias, value, bytes);
  return known ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}
cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* matrix, cudaDataType_t type, uint64_t rows,
                                          uint64_t columns, int64_t leading) {
  *matrix = new EmulatedMatrix{type, rows, columns, leading};
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t matrix) {
  delete matrix;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t matrix,
                                                cublasLtMatrixLayoutAttribute_t attribute, const void* value,
                                                size_t bytes) {
  const bool known = attribute == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT ? take(matrix->batch, value, bytes)
                                                                     : take(matrix->stride, value, bytes);
  return known ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  *preference = nullptr;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t) { return CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void*, size_t bytes) {
  const size_t wanted =
      attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES ? sizeof(uint64_t) : sizeof(uint32_t);
  return bytes == wanted ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t product,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t, int,
                                              cublasLtMatmulHeuristicResult_t* results, int* found) {
  const Refusal refusal = refusal_of(*product, *a);
  *found = fits(*product, *a, *b, *d) && refusal != Refusal::no_results ? 1 : 0;
  results->state = refusal == Refusal::failed_result ? CUBLAS_STATUS_NOT_SUPPORTED : CUBLAS_STATUS_SUCCESS;
  return *found ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}
cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t product, const void*, const void* a,
                              cublasLtMatrixLayout_t a_layout, const void* b, cublasLtMatrixLayout_t b_layout,
                              const void* beta, const void* c, cublasLtMatrixLayout_t c_layout, void* d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t*, void*, size_t,
                              cudaStream_t stream) {
  if (!fits(*product, *a_layout, *b_layout, *d_layout)) return CUBLAS_STATUS_INVALID_VALUE;
  if (refusal_of(*product, *a_layout) != Refusal::none) return CUBLAS_STATUS_NOT_SUPPORTED;
  // Descriptors may change before a recording is replayed.
  cuda_emulation::enqueue(stream, [=, p = *product, la = *a_layout, lb = *b_layout, lc = *c_layout,
                                   ld = *d_layout, factor = *static_cast<const float*>(beta)] {
    multiply(p, la, a, lb, b, factor, lc, c, ld, d);
  });
  return CUBLAS_STATUS_SUCCESS;
}
