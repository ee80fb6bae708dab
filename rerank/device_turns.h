// Who works on a device that several threads want.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>

namespace dalle1::rerank {

/// Pieces of work one at a time, in the order in which they came: whoever takes many short turns in a row
/// keeps nobody out.
class DeviceTurns {
 public:
  void take(const std::function<void()>& work) {
    std::unique_lock lock(mutex_);
    const uint64_t own = last_++;
    changed_.wait(lock, [&] { return now_ == own; });
    lock.unlock();
    const Ended ended{*this};  // also by an exception
    work();
  }

 private:
  struct Ended {
    DeviceTurns& turns;
    ~Ended() {
      const std::lock_guard lock(turns.mutex_);
      ++turns.now_;
      turns.changed_.notify_all();
    }
  };

  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t last_ = 0, now_ = 0;
};

}  // namespace dalle1::rerank
