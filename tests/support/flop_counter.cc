#include "tests/support/flop_counter.h"

#include "core/ops/kernels.h"

namespace dalle1::test {
namespace {

class CountingKernels final : public Kernels {
 public:
  explicit CountingKernels(Kernels& inner) : inner_(inner) {}
  double flops() const { return flops_; }

  void unary(Unary op, const Tensor& x, Tensor& y) override { inner_.unary(op, x, y); }
  void unary_backward(Unary op, const Tensor& x, const Tensor& dy, Tensor& dx) override {
    inner_.unary_backward(op, x, dy, dx);
  }
  void binary(Binary op, const Tensor& a, const Tensor& b, Tensor& y) override { inner_.binary(op, a, b, y); }
  void affine(const Tensor& x, float scale, float shift, Tensor& y) override {
    inner_.affine(x, scale, shift, y);
  }
  void add_scaled(const Tensor& x, float scale, Tensor& y) override { inner_.add_scaled(x, scale, y); }
  void greater_equal(const Tensor& x, const Tensor& y, Tensor& mask) override {
    inner_.greater_equal(x, y, mask);
  }
  void fill(Tensor& y, float value) override { inner_.fill(y, value); }
  void cast(const Tensor& x, Tensor& y) override { inner_.cast(x, y); }
  void strided_copy(const StridedCopy& copy, const Tensor& x, Tensor& y) override {
    inner_.strided_copy(copy, x, y);
  }
  void sum_to(const Tensor& x, Tensor& y) override { inner_.sum_to(x, y); }
  void max_last(const Tensor& x, Tensor& values, Tensor& indices) override {
    inner_.max_last(x, values, indices);
  }
  double sum_squares(std::span<const Tensor> tensors) override { return inner_.sum_squares(tensors); }
  bool all_finite(const Tensor& x) override { return inner_.all_finite(x); }
  void reorder(const Tensor& x, Tensor& y) override { inner_.reorder(x, y); }
  void linear(const Tensor& x, const Tensor& w, const Tensor* bias, Tensor& y) override {
    flops_ += 2.0 * static_cast<double>(x.numel()) * static_cast<double>(w.dim(0));
    inner_.linear(x, w, bias, y);
  }
  void matmul(const Tensor& a, const Tensor& b, const MatmulOptions& options, Tensor& y) override {
    flops_ +=
        2.0 * static_cast<double>(y.numel()) * static_cast<double>(a.dim(options.transpose_a ? -2 : -1));
    inner_.matmul(a, b, options, y);
  }
  Layout preferred_layout(int64_t channels) const override { return inner_.preferred_layout(channels); }
  void conv2d(const Tensor& x, const Tensor& w, const Tensor* bias, const Conv2dGeometry& geometry,
              const Conv2dEpilogue& epilogue, Tensor& y) override {
    inner_.conv2d(x, w, bias, geometry, epilogue, y);
  }
  void conv2d_backward_data(const Tensor& dy, const Tensor& w, const Conv2dGeometry& geometry,
                            Tensor& dx) override {
    inner_.conv2d_backward_data(dy, w, geometry, dx);
  }
  void conv2d_backward_weights(const Tensor& x, const Tensor& dy, const Conv2dGeometry& geometry, Tensor& dw,
                               Tensor* dbias) override {
    inner_.conv2d_backward_weights(x, dy, geometry, dw, dbias);
  }
  void max_pool(const Tensor& x, Tensor& y) override { inner_.max_pool(x, y); }
  void max_pool_backward(const Tensor& x, const Tensor& dy, Tensor& dx) override {
    inner_.max_pool_backward(x, dy, dx);
  }
  void avg_pool(const Tensor& x, int k, Tensor& y) override { inner_.avg_pool(x, k, y); }
  void avg_pool_backward(const Tensor& dy, int k, Tensor& dx) override {
    inner_.avg_pool_backward(dy, k, dx);
  }
  void upsample(const Tensor& x, Tensor& y) override { inner_.upsample(x, y); }
  void upsample_backward(const Tensor& dy, Tensor& dx) override { inner_.upsample_backward(dy, dx); }
  void layer_norm(const Tensor& x, const Tensor& w, const Tensor& b, float epsilon, Tensor& y, Tensor& mean,
                  Tensor& rstd) override {
    inner_.layer_norm(x, w, b, epsilon, y, mean, rstd);
  }
  void layer_norm_backward(const Tensor& x, const Tensor& w, const Tensor& mean, const Tensor& rstd,
                           const Tensor& dy, Tensor& dx, Tensor& dw, Tensor& db) override {
    inner_.layer_norm_backward(x, w, mean, rstd, dy, dx, dw, db);
  }
  void rms_norm(const Tensor& x, int64_t group, int64_t columns, float epsilon, Tensor& y) override {
    inner_.rms_norm(x, group, columns, epsilon, y);
  }
  void rms_norm_backward(const Tensor& x, const Tensor& dy, int64_t group, int64_t columns, float epsilon,
                         Tensor& dx) override {
    inner_.rms_norm_backward(x, dy, group, columns, epsilon, dx);
  }
  void rotate(const Tensor& x, const Tensor& table, int64_t columns, bool forward, Tensor& y) override {
    inner_.rotate(x, table, columns, forward, y);
  }
  void group_norm(const Tensor& x, const Tensor& w, const Tensor& b, int groups, float epsilon, Tensor& y,
                  Tensor& mean, Tensor& rstd) override {
    inner_.group_norm(x, w, b, groups, epsilon, y, mean, rstd);
  }
  void group_norm_backward(const Tensor& x, const Tensor& w, const Tensor& mean, const Tensor& rstd,
                           const Tensor& dy, Tensor& dx, Tensor& dw, Tensor& db) override {
    inner_.group_norm_backward(x, w, mean, rstd, dy, dx, dw, db);
  }
  void softmax(const Tensor& x, Tensor& y) override { inner_.softmax(x, y); }
  void softmax_backward(const Tensor& y, const Tensor& dy, Tensor& dx) override {
    inner_.softmax_backward(y, dy, dx);
  }
  void cross_entropy(const Tensor& logits, const Tensor& targets, Tensor& losses,
                     Tensor& logsumexp) override {
    inner_.cross_entropy(logits, targets, losses, logsumexp);
  }
  void cross_entropy_backward(const Tensor& logits, const Tensor& targets, const Tensor& logsumexp,
                              const Tensor& scale, Tensor& dlogits) override {
    inner_.cross_entropy_backward(logits, targets, logsumexp, scale, dlogits);
  }
  void embedding(const Tensor& ids, const Tensor& table, Tensor& y) override {
    inner_.embedding(ids, table, y);
  }
  void embedding_backward(const Tensor& ids, const Tensor& dy, Tensor& dtable) override {
    inner_.embedding_backward(ids, dy, dtable);
  }
  void uniform(uint64_t seed, Stream stream, uint32_t index, uint32_t step, Tensor& y) override {
    inner_.uniform(seed, stream, index, step, y);
  }
  void attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionOptions& options,
                 Tensor& y, Tensor& logsumexp) override {
    count_attention(q, k, options.pattern);
    inner_.attention(q, k, v, options, y, logsumexp);
  }
  void attention_backward(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& y,
                          const Tensor& logsumexp, const Tensor& dy, const AttentionOptions& options,
                          AttentionGradients& gradients) override {
    inner_.attention_backward(q, k, v, y, logsumexp, dy, options, gradients);
  }
  void cached_attention(const Tensor& q, const CachedAttention& cache, float scale, Tensor& y) override {
    count_cached(q, cache);
    inner_.cached_attention(q, cache, scale, y);
  }
  void cache_store(const Tensor& x, int64_t slot, Tensor& store) override {
    inner_.cache_store(x, slot, store);
  }
  void sample(const Tensor& logits, const SamplingRule& rule, uint64_t seed,
              std::span<const uint32_t> candidates, uint32_t position, std::span<int64_t> tokens,
              std::span<float> log_probs) override {
    inner_.sample(logits, rule, seed, candidates, position, tokens, log_probs);
  }
  void adamw(const AdamW& options, const Tensor& gradient, Tensor& parameter, Tensor& m, Tensor& v) override {
    inner_.adamw(options, gradient, parameter, m, v);
  }
  void lerp(const Tensor& x, float decay, Tensor& average) override { inner_.lerp(x, decay, average); }

 private:
  void count_attention(const Tensor& q, const Tensor& k, const AttentionPattern& pattern) {
    int64_t seen = 0;
    for (int32_t query = 0; query < q.dim(1); ++query) {
      for (const KeyRange& range : key_ranges(pattern, query))
        seen += std::min<int64_t>(range.end, k.dim(1)) - std::min<int64_t>(range.begin, k.dim(1));
    }
    flops_ += 4.0 * static_cast<double>(seen * q.dim(0) * q.dim(2) * q.dim(3));
  }
  void count_cached(const Tensor& q, const CachedAttention& cache) {
    int64_t seen = std::ssize(cache.slots);
    for (const KeyRange& range : cache.prefix) seen += range.end - range.begin;
    flops_ += 4.0 * static_cast<double>(seen * q.numel());
  }

  Kernels& inner_;
  double flops_ = 0;
};

class CountingCpu final : public FlopCounter {
 public:
  double flops() const override { return kernels_.flops(); }
  DeviceKind kind() const override { return inner_->kind(); }
  std::string describe() const override { return inner_->describe(); }
  int threads() const override { return inner_->threads(); }
  Kernels& kernels() override { return kernels_; }
  void* allocate(size_t bytes) override { return inner_->allocate(bytes); }
  void release(void* pointer, size_t bytes) override { inner_->release(pointer, bytes); }
  size_t available_memory() const override { return inner_->available_memory(); }
  MemoryUse memory_use() const override { return inner_->memory_use(); }
  void reset_peak() override { inner_->reset_peak(); }
  void copy_from_host(void* device_pointer, const void* host, size_t bytes) override {
    inner_->copy_from_host(device_pointer, host, bytes);
  }
  void copy_to_host(void* host, const void* device_pointer, size_t bytes) override {
    inner_->copy_to_host(host, device_pointer, bytes);
  }
  void copy(void* destination, const void* source, size_t bytes) override {
    inner_->copy(destination, source, bytes);
  }
  void fill_zero(void* pointer, size_t bytes) override { inner_->fill_zero(pointer, bytes); }

 private:
  std::shared_ptr<Device> inner_ = make_cpu_device(1);
  CountingKernels kernels_{inner_->kernels()};
};

}  // namespace

std::shared_ptr<FlopCounter> make_flop_counter() { return std::make_shared<CountingCpu>(); }

}  // namespace dalle1::test
