#include "transformer/decoder.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <mutex>

#include "transformer/shares.h"

namespace dalle1::transformer {
namespace {

constexpr int32_t kCellsPerWait = 16;  // between two waits for a GPU

}  // namespace

// How far the shares are, and whether they are to stop.
class Decoder::Watch {
 public:
  Watch(size_t shares, int32_t done, const std::function<bool(int32_t)>& progress)
      : done_(shares), progress_(progress) {
    for (auto& each : done_) each = done;
  }
  void stop() { stopped_ = true; }
  bool stopped() const { return stopped_; }
  int32_t done() const { return *std::min_element(done_.begin(), done_.end()); }
  void set_done(size_t share, int32_t cells) { done_[share] = cells; }
  /// Says how far all are, unless another thread is saying it.
  void report() {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (lock && progress_ && !progress_(done())) stop();
  }

 private:
  std::vector<std::atomic<int32_t>> done_;
  const std::function<bool(int32_t)>& progress_;
  std::mutex mutex_;
  std::atomic<bool> stopped_ = false;
};

// Takes one share through all cells.
void Decoder::run(Lockstep& state, size_t share, Watch& watch, const Hooks& hooks) const {
  Device& device = prompt_.model().device();
  const int32_t wait = device.is_cpu() ? 1 : kCellsPerWait;
  while (!state.finished() && !watch.stopped()) {
    const int32_t cell = state.cells_done();
    state.step();
    if (hooks.logits) hooks.logits(cell, state.logits());
    watch.set_done(share, cell + 1);
    if (!hooks.progress || (cell + 1) % wait != 0 || state.finished()) continue;
    device.synchronize();
    watch.report();
  }
}

struct Decoder::Running {
  const std::deque<Lockstep>& states;
  const Watch& watch;
};

std::vector<int64_t> Decoder::tokens_so_far() const {
  check(running_ != nullptr, ErrorKind::internal, "nothing is being decoded");
  const int32_t done = running_->watch.done();
  std::vector<int64_t> result;
  for (const Lockstep& state : running_->states) {
    const auto tokens = state.tokens(done);
    result.insert(result.end(), tokens.begin(), tokens.end());
  }
  return result;
}

Decoded Decoder::decode(std::span<const uint32_t> candidates, const Hooks& hooks) {
  Device& device = prompt_.model().device();
  const auto count = static_cast<int64_t>(candidates.size());
  const auto groups = static_cast<int>(prompt_.prefixes().size());
  const size_t shares = hooks.logits ? 1 : share_count(count, groups, device.threads());
  std::deque<Lockstep> states;
  for (size_t i = 0; i < shares; ++i) {
    const size_t first = candidates.size() * i / shares, end = candidates.size() * (i + 1) / shares;
    states.emplace_back(prompt_, candidates.subspan(first, end - first));
  }
  Watch watch(shares, prompt_.prefilled(), hooks.progress);
  const Running running{states, watch};
  running_ = &running;
  device.run_parallel(static_cast<int>(shares), [&](int i) {
    try {
      const auto share = static_cast<size_t>(i);
      run(states[share], share, watch, hooks);
    } catch (...) {
      watch.stop();
      throw;
    }
  });
  device.synchronize();
  if (!watch.stopped()) watch.report();
  running_ = nullptr;
  Decoded result;
  result.cells = watch.done();
  cache_use_ = {};
  for (const Lockstep& state : states) {
    state.append_to(result);
    cache_use_.bytes += state.sequence().bytes();
    cache_use_.prefix_rows_read += state.sequence().prefix_rows_read();
    cache_use_.private_rows_read += state.sequence().private_rows_read();
    cache_use_.private_bytes_read += state.sequence().private_bytes_read();
  }
  return result;
}

}  // namespace dalle1::transformer
