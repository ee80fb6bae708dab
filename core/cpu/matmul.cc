// Products of training: in bf16 by our own kernels, in f32 by oneDNN. Its summation order depends on the
// shape and, with `a` transposed (gradients of weights), on the number of threads: see linear.cc for
// inference.
#include <dnnl.hpp>
#include <map>
#include <mutex>

#include "core/cpu/bf16_product.h"
#include "core/cpu/cpu_kernels.h"
#include "core/cpu/thread_limit.h"

namespace dalle1 {
namespace {

using dnnl::memory;

struct MatmulShape {
  int64_t batch, a_batch, b_batch;  ///< a_batch and b_batch are `batch`, or 1 for a matrix shared by all.
  int64_t m, n, k;
  bool transpose_a, transpose_b, accumulate;
  auto operator<=>(const MatmulShape&) const = default;
};

/// [batch, rows, columns] as the product sees it; stored with the last two axes swapped if `transposed`.
memory::desc describe(int64_t batch, int64_t rows, int64_t columns, bool transposed) {
  const memory::dims row_column = transposed ? memory::dims{1, rows} : memory::dims{columns, 1};
  if (batch == 1) return {{rows, columns}, memory::data_type::f32, row_column};
  return {{batch, rows, columns}, memory::data_type::f32, {rows * columns, row_column[0], row_column[1]}};
}

int64_t leading(const Tensor& x) {
  int64_t batch = 1;
  for (int axis = 0; axis + 2 < x.rank(); ++axis) batch *= x.dim(axis);
  return batch;
}

/// Matrix `index` of a batch (0 where all share one) with items along axis `items` of the last two.
cpu::Bf16Source source_of(const Tensor& x, int64_t index, bool items_last) {
  const int64_t rows = x.dim(-2), columns = x.dim(-1), own = leading(x) == 1 ? 0 : index;
  return {x.floats() + own * rows * columns, items_last ? 1 : columns, items_last ? columns : 1};
}

/// y = op(a) op(b) + bias [N] or nothing.
void multiply_in_bf16(const Tensor& a, const Tensor& b, const MatmulOptions& options, const Tensor* bias,
                      int threads, Tensor& y) {
  cpu::Bf16Product product;
  product.rows = y.dim(-2);
  product.columns = y.dim(-1);
  product.depth = a.dim(options.transpose_a ? -2 : -1);
  product.bias = bias ? bias->floats() : nullptr;
  product.accumulate = options.accumulate;
  for (int64_t i = 0; i < leading(y); ++i) {
    product.a = source_of(a, i, options.transpose_a);
    product.b = source_of(b, i, !options.transpose_b);
    product.y = y.floats() + i * product.rows * product.columns;
    cpu::multiply_bf16(*cpu::bf16_kernels(), product, y.device(), threads);
  }
}

bool is_bf16(DType compute) { return compute == DType::bf16 && cpu::bf16_kernels(); }

}  // namespace

struct CpuKernels::MatmulCache {
  struct Entry {
    dnnl::matmul::primitive_desc description;
    dnnl::matmul primitive;
  };

  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  std::mutex mutex;
  std::map<MatmulShape, Entry> entries;

  const Entry& entry(const MatmulShape& shape) {
    std::lock_guard lock(mutex);
    const auto found = entries.find(shape);
    if (found != entries.end()) return found->second;
    // A batch of several with a shared matrix keeps its axis of extent 1.
    const auto operand = [&](int64_t own_batch, int64_t rows, int64_t columns, bool transposed) {
      if (shape.batch == own_batch) return describe(own_batch, rows, columns, transposed);
      const memory::desc matrix = describe(1, rows, columns, transposed);
      return matrix.reshape({1, rows, columns});
    };
    dnnl::primitive_attr attributes;
    if (shape.accumulate) {
      dnnl::post_ops sum;
      sum.append_sum();
      attributes.set_post_ops(sum);
    }
    const dnnl::matmul::desc product(operand(shape.a_batch, shape.m, shape.k, shape.transpose_a),
                                     operand(shape.b_batch, shape.k, shape.n, shape.transpose_b),
                                     describe(shape.batch, shape.m, shape.n, false));
    Entry made;
    made.description = dnnl::matmul::primitive_desc(product, attributes, engine);
    made.primitive = dnnl::matmul(made.description);
    return entries.emplace(shape, std::move(made)).first->second;
  }
};

std::shared_ptr<CpuKernels::MatmulCache> CpuKernels::make_matmul_cache() {
  return std::make_shared<MatmulCache>();
}

void CpuKernels::matmul(const Tensor& a, const Tensor& b, const MatmulOptions& options, Tensor& y) {
  if (is_bf16(options.compute)) return multiply_in_bf16(a, b, options, nullptr, threads_, y);
  MatmulShape shape;
  shape.batch = leading(y);
  shape.a_batch = leading(a);
  shape.b_batch = leading(b);
  shape.m = y.dim(-2);
  shape.n = y.dim(-1);
  shape.k = a.dim(options.transpose_a ? -2 : -1);
  shape.transpose_a = options.transpose_a;
  shape.transpose_b = options.transpose_b;
  shape.accumulate = options.accumulate;
  if (y.numel() == 0) return;
  const cpu::ThreadLimit limit(threads_);
  const auto& [description, primitive] = matmuls_->entry(shape);
  primitive.execute(matmuls_->stream,
                    {{DNNL_ARG_SRC, memory(description.src_desc(), matmuls_->engine, a.raw())},
                     {DNNL_ARG_WEIGHTS, memory(description.weights_desc(), matmuls_->engine, b.raw())},
                     {DNNL_ARG_DST, memory(description.dst_desc(), matmuls_->engine, y.raw())}});
  matmuls_->stream.wait();
}

void CpuKernels::training_linear(const LinearArguments& a, DType compute) {
  if (is_bf16(compute)) return multiply_in_bf16(a.x, a.w, {.transpose_b = true}, a.bias, threads_, a.y);
  Kernels::training_linear(a, compute);
}

}  // namespace dalle1
