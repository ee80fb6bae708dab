#include "core/cpu/counting_device.h"

#include <cstring>
#include <unordered_map>
#include <vector>

#include "core/cpu/attention_kernels.h"
#include "core/cpu/block_stock.h"
#include "core/cpu/cached_attention_kernels.h"
#include "core/cpu/int8_linear.h"
#include "core/cpu/packed_linear.h"
#include "core/cpu/thread_scratch.h"
#include "core/kernels/idle_kernels.h"

namespace dalle1 {
namespace {

// Channels as they lie in memory.
int64_t stored_channels(const Tensor& t) {
  const int64_t block = block_of(t.layout());
  return (t.dim(1) + block - 1) / block * block;
}

// Keys that the queries see in all.
double seen_keys(const AttentionPattern& pattern, int64_t queries, int64_t keys) {
  int64_t seen = 0;
  for (int32_t query = 0; query < queries; ++query)
    for (const KeyRange& range : key_ranges(pattern, query))
      seen += std::min<int64_t>(range.end, keys) - std::min<int64_t>(range.begin, keys);
  return static_cast<double>(seen);
}

// Takes the memory that the CPU's kernels take, counts operations and does nothing else.
class CountingKernels final : public IdleKernels {
 public:
  explicit CountingKernels(Device& like)
      : like_(like.kernels()), cpu_(like.is_cpu()), threads_(like.threads()) {}

  double operations() const { return operations_; }

  void linear(const LinearArguments& a) override {
    operations_ += 2.0 * static_cast<double>(a.x.numel()) * static_cast<double>(a.w.dim(0));
    prepare_linear(a.w);
  }
  void matmul(const Tensor& a, const Tensor&, const MatmulOptions& options, Tensor& y) override {
    operations_ +=
        2.0 * static_cast<double>(y.numel()) * static_cast<double>(a.dim(options.transpose_a ? -2 : -1));
  }
  void prepare_linear(const Tensor& w) override {
    if (!cpu_ || w.dtype() != DType::f32) return;
    const int64_t width = cpu::packed_linear(cpu::best_isa()).width;
    prepare(w, (w.dim(0) + width - 1) / width * width * w.dim(1));
  }
  Int8Weights pack_int8(const Tensor& q, const Tensor& scale) override {
    const cpu::Int8LinearKernels& kernels = cpu::int8_linear();
    const int64_t panels = (q.dim(0) + kernels.width - 1) / kernels.width;
    return {
        q.dim(0), q.dim(1),
        Tensor::empty(q.device(), {panels, kernels.steps(q.dim(1)) * kernels.width * kernels.depth_step()},
                      DType::i8),
        Tensor::empty(q.device(), {panels, kernels.width}, DType::i32), scale};
  }
  void int8_linear(const Tensor& x, const Int8Weights& w, const Tensor*, Tensor&) override {
    operations_ += 2.0 * static_cast<double>(x.numel()) * static_cast<double>(w.outputs);
    const int64_t rows = x.numel() / w.inputs;
    const Tensor rounded = Tensor::empty(x.device(), {rows, cpu::int8_linear().steps(w.inputs)}, DType::i32);
    const Tensor scales = Tensor::empty(x.device(), {rows});
  }
  void conv2d(const Conv2dArguments& a) override {
    const int64_t weights = stored_channels(a.x) * stored_channels(a.y) * a.w.dim(2) * a.w.dim(3);
    const int64_t pixels = a.y.dim(0) * a.y.dim(2) * a.y.dim(3);
    operations_ += 2.0 * static_cast<double>(weights) * static_cast<double>(pixels);
    if (cpu_) prepare(a.w, weights);
  }
  void attention(const AttentionArguments& a) override {
    if (a.q.numel() == 0) return;
    count_attention(a.options, a.q.dim(1), a.k.dim(1), a.q.dim(0) * a.q.dim(2) * a.q.dim(3));
    attend(a.q.device(), a.k.dim(1), a.q.dim(3), a.options);
  }
  void self_attention(const SelfAttentionArguments& a) override {
    if (!cpu_) return Kernels::self_attention(a);
    const int64_t length = a.qkv.dim(1), width = a.qkv.dim(2) / 3;
    count_attention(a.options, length, length, a.qkv.dim(0) * width);
    attend(a.qkv.device(), length, width / a.logsumexp.dim(1), a.options);
  }
  void cached_attention(const Tensor& q, const CachedAttention& cache, float, Tensor&) override {
    size_t visible = cache.slots.size();
    for (const auto& range : cache.prefix) visible += static_cast<size_t>(range.end - range.begin);
    operations_ += 4.0 * static_cast<double>(visible) * static_cast<double>(q.numel());
    if (!cpu_) return;
    const auto& kernels = cpu::cached_attention_kernels(cpu::best_isa());
    const cpu::ThreadScratch scratch(
        q.device(), threads_, kernels.scratch(static_cast<int32_t>(visible), static_cast<int32_t>(q.dim(2))));
  }
  void sample(const SampleArguments& a) override {
    IdleKernels::sample(a);
    Device& device = a.logits.device();
    const Tensor losses = Tensor::empty(device, {a.logits.dim(0)}),
                 logsumexp = Tensor::empty(device, {a.logits.dim(0)});
  }
  Layout preferred_layout(int64_t channels) const override { return like_.preferred_layout(channels); }
  void attend_step(const StepArguments& a) override {
    cpu_ ? cached_attention(a.y, a.cache, a.scale, a.y) : Kernels::attend_step(a);
  }

 private:
  // `width`: channels of all heads and sequences.
  void count_attention(const AttentionOptions& options, int64_t queries, int64_t keys, int64_t width) {
    operations_ += 4.0 * seen_keys(options.pattern, queries, keys) * static_cast<double>(width);
  }
  void attend(Device& device, int64_t keys, int64_t size, const AttentionOptions& options) {
    if (!cpu_) return;
    constexpr int tile = attention_tile;
    const cpu::AttentionKernels& kernels = cpu::attention_kernels(options.compute);
    const cpu::ThreadScratch scratch(
        device, threads_,
        kernels.forward_scratch(static_cast<int32_t>((keys + tile - 1) / tile), static_cast<int32_t>(size)));
  }

  // The form in which products want their weights, once per tensor and size.
  struct Forms {
    std::vector<Tensor> all;
  };
  static void prepare(const Tensor& w, int64_t floats) {
    w.with_prepared<Forms>([&](Forms& forms) {
      for (const Tensor& form : forms.all)
        if (form.numel() == floats) return;
      forms.all.push_back(Tensor::empty(w.device(), {floats}));
    });
  }

  Kernels& like_;
  bool cpu_;
  int threads_;
  double operations_ = 0;
};

class Counter final : public CountingDevice {
 public:
  explicit Counter(Device& like) : like_(like), kernels_(like) {}

  DeviceKind kind() const override { return like_.kind(); }
  std::string describe() const override { return "counting: " + like_.describe(); }
  int threads() const override { return like_.threads(); }
  Kernels& kernels() override { return kernels_; }

  void* allocate(size_t bytes) override {
    const size_t size = cpu::BlockStock::rounded(bytes);
    use_.in_use += size;
    use_.peak = std::max(use_.peak, use_.in_use);
    if (void* block = stock_.take(size)) return block;
    held_ += size;
    footprint_ = std::max(footprint_, held_);
    next_ += size;
    return reinterpret_cast<void*>(next_ - size);  // an address to tell blocks apart, never followed
  }
  void release(void* pointer, size_t bytes) override {
    const size_t size = cpu::BlockStock::rounded(bytes);
    use_.in_use -= size;
    contents_.erase(pointer);
    if (!stock_.keep(pointer, size)) held_ -= size;
  }
  size_t available_memory() const override { return like_.available_memory(); }
  MemoryUse memory_use() const override { return use_; }
  void reset_peak() override { use_.peak = use_.in_use; }
  size_t footprint() const override { return footprint_; }
  double operations() const override { return kernels_.operations(); }

  void copy_from_host(void* target, const void* host, size_t bytes) override {
    constexpr size_t small = 1 << 16;  // ids, in which code looks for the end of a text
    if (bytes > small) return;
    const auto* begin = static_cast<const char*>(host);
    contents_[target].assign(begin, begin + bytes);
  }
  void copy_to_host(void* host, const void* source, size_t bytes) override {
    std::memset(host, 0, bytes);
    const auto found = contents_.find(source);
    if (found != contents_.end())
      std::memcpy(host, found->second.data(), std::min(bytes, found->second.size()));
  }
  void copy(void*, const void*, size_t) override {}
  void fill_zero(void*, size_t) override {}

 private:
  Device& like_;
  CountingKernels kernels_;
  cpu::BlockStock stock_;
  MemoryUse use_;
  size_t held_ = 0, footprint_ = 0;
  uintptr_t next_ = 4096;
  std::unordered_map<const void*, std::vector<char>> contents_;
};

}  // namespace

std::shared_ptr<CountingDevice> make_counting_device(Device& like) { return std::make_shared<Counter>(like); }

}  // namespace dalle1
