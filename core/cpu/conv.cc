// Convolutions by oneDNN, and changes of layout.
//
// A shape that oneDNN vectorises only in the plain layout (a few odd kernels and paddings, gradients of
// pictures with three channels) is computed there, through temporary plain copies.
#include <cstring>
#include <limits>
#include <unordered_map>

#include "core/cpu/bf16_picture.h"
#include "core/cpu/bf16_product.h"
#include "core/cpu/convolution_cache.h"
#include "core/cpu/isa.h"
#include "core/cpu/parallel.h"
#include "core/cpu/thread_limit.h"

namespace dalle1 {
namespace {

using cpu::ConvolutionPlan;
using cpu::ConvolutionShape;
using cpu::narrow_result;
using cpu::narrowed;
using cpu::ThreadLimit;
using cpu::widen;
using dnnl::memory;
using Cache = CpuKernels::ConvolutionCache;
using Direction = Cache::Direction;

memory::desc plain_weights(int64_t out, int64_t in, int64_t kernel_height, int64_t kernel_width) {
  return {{out, in, kernel_height, kernel_width}, memory::data_type::f32, memory::format_tag::oihw};
}

// Copies the common corner of [O, C, k] arrays.
void copy_corner(const float* from, int64_t from_in, float* to, int64_t to_in, int64_t out, int64_t in,
                 int64_t kernel) {
  for (int64_t o = 0; o < out; ++o) {
    std::memcpy(to + o * to_in * kernel, from + o * from_in * kernel, in * kernel * sizeof(float));
  }
}

/// Forms of one weight tensor, one per direction and layout that asked.
struct PackedFilters {
  std::vector<memory> forms;
};

// `w`, padded by zeros to the shape's channels, in the form that a primitive wants.
memory reformed(Cache& cache, const Tensor& w, const ConvolutionShape& shape, const memory::desc& form) {
  const memory::desc plain = plain_weights(shape.out, shape.in, shape.kernel_height, shape.kernel_width);
  const bool padded = shape.out != w.dim(0) || shape.in != w.dim(1);
  memory source = padded ? memory(plain, cache.engine) : memory(plain, cache.engine, w.floats());
  if (padded) {
    auto* corner = static_cast<float*>(source.get_data_handle());
    std::memset(corner, 0, plain.get_size());
    copy_corner(w.floats(), w.dim(1), corner, shape.in, w.dim(0), w.dim(1), w.dim(2) * w.dim(3));
  }
  if (form == plain && !padded) return source;
  memory target(form, cache.engine);
  dnnl::reorder(source, target).execute(cache.stream, source, target);
  cache.stream.wait();
  return target;
}

memory packed(Cache& cache, const Tensor& w, const ConvolutionShape& shape, const memory::desc& form) {
  return w.with_prepared<PackedFilters>([&](PackedFilters& filters) {
    for (const memory& known : filters.forms)
      if (known.get_desc() == form) return known;
    return filters.forms.emplace_back(reformed(cache, w, shape, form));
  });
}

// The bias with zeros for padding channels.
std::vector<float> padded_bias(const Tensor& bias, int64_t channels) {
  std::vector<float> values(channels, 0.0f);
  std::memcpy(values.data(), bias.floats(), bias.bytes());
  return values;
}

Tensor plain_copy(CpuKernels& kernels, const Tensor& x) {
  if (x.layout() == Layout::plain) return x;
  Tensor y = Tensor::empty(x.device(), x.shape());
  kernels.reorder(x, y);
  return y;
}

memory describe(Cache& cache, const Tensor& t, int64_t channels) {
  const auto type = t.dtype() == DType::bf16 ? memory::data_type::bf16 : memory::data_type::f32;
  return memory({{t.dim(0), channels, t.dim(2), t.dim(3)}, type, cpu::tag_of(t.layout())}, cache.engine,
                t.raw());
}

// Whether AMX or AVX512-BF16 multiplies. Pictures of few channels stay in f32, and what is not in blocks
// of 16.
bool is_narrow(const Conv2dGeometry& geometry, const Tensor& x, const Tensor& y) {
  return geometry.compute == DType::bf16 && cpu::bf16_kernels() && x.layout() == Layout::blocked16 &&
         y.layout() == Layout::blocked16;
}

Conv2dGeometry in_f32(Conv2dGeometry geometry) {
  geometry.compute = DType::f32;
  return geometry;
}

void run_forward(Cache& cache, const ConvolutionPlan& plan, const ConvolutionShape& shape, const Tensor& x,
                 const Tensor& w, const Tensor* bias, const Conv2dEpilogue& epilogue, const Tensor& y) {
  std::unordered_map<int, memory> arguments;
  const memory y_memory = describe(cache, y, shape.out);
  std::vector<float> bias_values;
  if (bias) {
    bias_values = padded_bias(*bias, shape.out);
    const memory::desc desc({shape.out}, memory::data_type::f32, memory::format_tag::x);
    arguments.emplace(DNNL_ARG_BIAS, memory(desc, cache.engine, bias_values.data()));
  }
  if (epilogue.residual) {
    const int position = epilogue.gain != 1.0f ? 1 : 0;
    arguments.emplace(DNNL_ARG_ATTR_MULTIPLE_POST_OP(position) | DNNL_ARG_SRC_1,
                      describe(cache, *epilogue.residual, shape.out));
  }
  arguments.emplace(DNNL_ARG_SRC, describe(cache, x, shape.in));
  arguments.emplace(DNNL_ARG_WEIGHTS, packed(cache, w, shape, plan.weights));
  arguments.emplace(DNNL_ARG_DST, y_memory);
  const ThreadLimit limit(plan.alone ? 1 : omp_get_max_threads());
  plan.primitive.execute(cache.stream, arguments);
  cache.stream.wait();
}

// y = residual + gain * y, then ReLU, in place and in any layout.
void apply_epilogue(int threads, const Conv2dEpilogue& epilogue, const Tensor& y) {
  if (!epilogue.residual && epilogue.gain == 1.0f && !epilogue.relu) return;
  float* values = y.stored<float>();
  const float* residual = epilogue.residual ? epilogue.residual->stored<float>() : nullptr;
  const float floor = epilogue.relu ? 0.0f : -std::numeric_limits<float>::infinity();
  cpu::parallel_for(threads, y.storage_numel(), 1 << 14, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float scaled = epilogue.gain * values[i];
      const float sum = residual ? residual[i] + scaled : scaled;
      values[i] = sum < floor ? floor : sum;
    }
  });
}

}  // namespace

CpuKernels::CpuKernels(int threads)
    : threads_(threads), convolutions_(std::make_unique<ConvolutionCache>()) {}
CpuKernels::~CpuKernels() = default;

int64_t CpuKernels::reorder_count() const { return convolutions_->reorders; }

Layout CpuKernels::preferred_layout(int64_t channels) const {
  // The first convolution of a network reads its few channels from the plain picture.
  if (channels <= 4) return Layout::plain;
  return cpu::best_isa() == cpu::Isa::avx512 ? Layout::blocked16 : Layout::blocked8;
}

void CpuKernels::reorder(const Tensor& x, Tensor& y) {
  const ThreadLimit limit(threads_);
  Cache& cache = *convolutions_;
  memory from = describe(cache, x, x.dim(1)), to = describe(cache, y, y.dim(1));
  dnnl::reorder(from, to).execute(cache.stream, from, to);
  cache.stream.wait();
  ++cache.reorders;
}

void CpuKernels::conv2d(const Conv2dArguments& a) {
  const auto& [x, w, bias, geometry, epilogue, y] = a;
  const ThreadLimit limit(threads_);
  Cache& cache = *convolutions_;
  const bool with_bias = bias != nullptr;
  if (is_narrow(geometry, x, y)) {
    const ConvolutionShape narrow = ConvolutionShape(x, w.dim(2), w.dim(3), y, geometry).narrow();
    const Tensor result = narrow_result(y);
    run_forward(cache, *cache.plan(Direction::forward, narrow, {.bias = with_bias}), narrow,
                narrowed(x, threads_), w, bias, {}, result);
    return widen(result, epilogue, y, threads_);
  }
  const ConvolutionShape shape(x, w.dim(2), w.dim(3), y, in_f32(geometry));
  const auto plan = cache.plan(Direction::forward, shape,
                               {with_bias, epilogue.residual != nullptr, epilogue.relu, epilogue.gain});
  if (plan->vectorised) {
    run_forward(cache, *plan, shape, x, w, bias, epilogue, y);
    return;
  }
  const ConvolutionShape plain = shape.plain(x.dim(1), y.dim(1));
  const auto fallback = cache.plan(Direction::forward, plain, {.bias = with_bias});
  Tensor y_plain = y.layout() == Layout::plain ? y : Tensor::empty(y.device(), y.shape());
  run_forward(cache, *fallback, plain, plain_copy(*this, x), w, bias, {}, y_plain);
  if (y.layout() != Layout::plain) reorder(y_plain, y);
  apply_epilogue(threads_, epilogue, y);
}

void CpuKernels::conv2d_backward_data(const Tensor& dy, const Tensor& w, const Conv2dGeometry& geometry,
                                      Tensor& dx) {
  const ThreadLimit limit(threads_);
  Cache& cache = *convolutions_;
  const auto run = [&](const ConvolutionPlan& plan, const ConvolutionShape& shape, const Tensor& from,
                       const Tensor& to) {
    const ThreadLimit inner(plan.alone ? 1 : threads_);
    plan.primitive.execute(cache.stream, {{DNNL_ARG_DIFF_DST, describe(cache, from, shape.out)},
                                          {DNNL_ARG_WEIGHTS, packed(cache, w, shape, plan.weights)},
                                          {DNNL_ARG_DIFF_SRC, describe(cache, to, shape.in)}});
    cache.stream.wait();
  };
  if (is_narrow(geometry, dx, dy)) {
    const ConvolutionShape narrow = ConvolutionShape(dx, w.dim(2), w.dim(3), dy, geometry).narrow();
    const Tensor result = narrow_result(dx);
    run(*cache.plan(Direction::backward_data, narrow, {}), narrow, narrowed(dy, threads_), result);
    return widen(result, {}, dx, threads_);
  }
  const ConvolutionShape shape(dx, w.dim(2), w.dim(3), dy, in_f32(geometry));
  const auto plan = cache.plan(Direction::backward_data, shape, {});
  if (plan->vectorised) return run(*plan, shape, dy, dx);
  const ConvolutionShape plain = shape.plain(dx.dim(1), dy.dim(1));
  Tensor dx_plain = dx.layout() == Layout::plain ? dx : Tensor::empty(dx.device(), dx.shape());
  run(*cache.plan(Direction::backward_data, plain, {}), plain, plain_copy(*this, dy), dx_plain);
  if (dx.layout() != Layout::plain) reorder(dx_plain, dx);
}

// oneDNN adds the pictures' parts thread by thread, so bits may depend on the number of threads.
void CpuKernels::conv2d_backward_weights(const Conv2dWeightsBackward& a) {
  const auto& [x, dy, geometry, dw, dbias] = a;
  const ThreadLimit limit(threads_);
  Cache& cache = *convolutions_;
  const bool narrow = is_narrow(geometry, x, dy);
  ConvolutionShape shape(x, dw.dim(2), dw.dim(3), dy, narrow ? geometry : in_f32(geometry));
  if (narrow) shape = shape.narrow();
  const Cache::Fused fused{.bias = dbias != nullptr};
  auto plan = cache.plan(Direction::backward_weights, shape, fused);
  Tensor input = narrow ? narrowed(x, threads_) : x, gradient = narrow ? narrowed(dy, threads_) : dy;
  if (!plan->vectorised && !narrow) {
    shape = shape.plain(x.dim(1), dy.dim(1));
    plan = cache.plan(Direction::backward_weights, shape, fused);
    input = plain_copy(*this, x);
    gradient = plain_copy(*this, dy);
  }
  const memory::desc plain = plain_weights(shape.out, shape.in, shape.kernel_height, shape.kernel_width);
  const bool padded = shape.out != dw.dim(0) || shape.in != dw.dim(1);
  memory whole = padded ? memory(plain, cache.engine) : memory(plain, cache.engine, dw.floats());
  memory result = plan->weights == plain ? whole : memory(plan->weights, cache.engine);
  std::vector<float> bias_values(dbias ? shape.out : 0);
  std::unordered_map<int, memory> arguments{{DNNL_ARG_SRC, describe(cache, input, shape.in)},
                                            {DNNL_ARG_DIFF_DST, describe(cache, gradient, shape.out)},
                                            {DNNL_ARG_DIFF_WEIGHTS, result}};
  if (dbias) {
    const memory::desc desc({shape.out}, memory::data_type::f32, memory::format_tag::x);
    arguments.emplace(DNNL_ARG_DIFF_BIAS, memory(desc, cache.engine, bias_values.data()));
  }
  plan->primitive.execute(cache.stream, arguments);
  if (plan->weights != plain) dnnl::reorder(result, whole).execute(cache.stream, result, whole);
  cache.stream.wait();
  if (padded) {
    copy_corner(static_cast<const float*>(whole.get_data_handle()), shape.in, dw.floats(), dw.dim(1),
                dw.dim(0), dw.dim(1), dw.dim(2) * dw.dim(3));
  }
  if (dbias) std::memcpy(dbias->floats(), bias_values.data(), dbias->bytes());
}

}  // namespace dalle1
