#include "tests/support/flop_counter.h"

#include "core/ops/idle_kernels.h"

namespace dalle1::test {
namespace {

class FlopKernels final : public IdleKernels {
 public:
  double flops() const { return flops_; }

  void linear(const Tensor& x, const Tensor& w, const Tensor*, Tensor&) override {
    flops_ += 2.0 * static_cast<double>(x.numel()) * static_cast<double>(w.dim(0));
  }
  void matmul(const Tensor& a, const Tensor&, const MatmulOptions& options, Tensor& y) override {
    flops_ +=
        2.0 * static_cast<double>(y.numel()) * static_cast<double>(a.dim(options.transpose_a ? -2 : -1));
  }
  void attention(const Tensor& q, const Tensor& k, const Tensor&, const AttentionOptions& options, Tensor&,
                 Tensor&) override {
    count_attention(q, k, options.pattern);
  }
  void cached_attention(const Tensor& q, const CachedAttention& cache, float, Tensor&) override {
    count_cached(q, cache);
  }

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
  FlopKernels kernels_;
};

}  // namespace

std::shared_ptr<FlopCounter> make_flop_counter() { return std::make_shared<CountingCpu>(); }

}  // namespace dalle1::test
