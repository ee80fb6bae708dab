// Who works on a device that several threads want.
#pragma once

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>

namespace dalle1::rerank {

/// Pieces of work one at a time. Two kinds share the device's time equally while both are wanted, however
/// much longer a piece of one is: a request that is being sampled is not held up by another's pictures. Those
/// of one kind come in their order of arrival.
class DeviceTurns {
 public:
  enum Kind { steps, other };

  void take(Kind kind, const std::function<void()>& work);

 private:
  using Clock = std::chrono::steady_clock;
  struct Lane {
    std::deque<uint64_t> waiting;
    Clock::duration used{};
    Clock::time_point left{};  // the device, or the queue
  };
  bool may_begin(Kind kind, uint64_t ticket) const;
  bool wanted(const Lane& lane) const;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::array<Lane, 2> lanes_;
  uint64_t next_ticket_ = 0;
  bool busy_ = false;
};

}  // namespace dalle1::rerank
