// What a training reads, made ahead by a thread of its own while the step before it runs.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "core/train/batch_share.h"

namespace dalle1 {

/// make(n) for the micro-batches n < end of a share, of which up to `most_ahead` wait to be asked for. `make`
/// depends on its number alone, so what is read does not depend on when.
template <typename T>
class ReadAhead {
 public:
  ReadAhead(std::function<T(int64_t)> make, int64_t end, size_t most_ahead, const BatchShare& share = {})
      : make_(std::move(make)), end_(end), most_ahead_(most_ahead), share_(share) {}
  ~ReadAhead() { stop(); }
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  /// make(n), or what it throws. Any n; those that follow each other are ready sooner.
  T get(int64_t n) {
    if (n >= end_) return make_(n);
    if (!thread_.joinable() || n != next_) start(n);
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !ready_.empty(); });
    Item item = std::move(ready_.front());
    ready_.pop_front();
    next_ = share_.after(n);
    changed_.notify_all();
    lock.unlock();
    if (item.error) std::rethrow_exception(item.error);
    return std::move(*item.value);
  }

 private:
  struct Item {
    std::optional<T> value;
    std::exception_ptr error;
  };

  void start(int64_t n) {
    stop();
    stopping_ = false;
    ready_.clear();
    next_ = n;
    thread_ = std::thread([this, n] { run(n); });
  }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  void run(int64_t begin) {
    for (int64_t n = begin; n < end_; n = share_.after(n)) {
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return stopping_ || ready_.size() < most_ahead_; });
        if (stopping_) return;
      }
      Item item;
      try {
        item.value = make_(n);
      } catch (...) {  // for whoever asks for it
        item.error = std::current_exception();
      }
      const std::lock_guard lock(mutex_);
      ready_.push_back(std::move(item));
      changed_.notify_all();
    }
  }

  std::function<T(int64_t)> make_;
  int64_t end_, next_ = 0;
  size_t most_ahead_;
  BatchShare share_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Item> ready_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace dalle1
