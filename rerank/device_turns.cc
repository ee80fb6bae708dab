#include "rerank/device_turns.h"

#include <algorithm>

namespace dalle1::rerank {
namespace {

// So long after a piece of work the next one of its kind is still expected: a step follows another as soon as
// its callers have looked at it. Without that the other kind would always find the device free.
constexpr std::chrono::milliseconds kPatience(5);

}  // namespace

bool DeviceTurns::wanted(const Lane& lane) const {
  return !lane.waiting.empty() || Clock::now() < lane.left + kPatience;
}

bool DeviceTurns::may_begin(Kind kind, uint64_t ticket) const {
  const Lane &own = lanes_[kind], &rival = lanes_[1 - kind];
  if (busy_ || own.waiting.front() != ticket) return false;
  return own.used <= rival.used || !wanted(rival);
}

void DeviceTurns::take(Kind kind, const std::function<void()>& work) {
  Lane &own = lanes_[kind], &rival = lanes_[1 - kind];
  std::unique_lock lock(mutex_);
  if (!wanted(own)) own.used = std::max(own.used, rival.used);  // what was not wanted is not made up for
  const uint64_t ticket = next_ticket_++;
  own.waiting.push_back(ticket);
  while (!may_begin(kind, ticket)) changed_.wait_for(lock, kPatience);
  own.waiting.pop_front();
  busy_ = true;
  lock.unlock();
  const auto begin = Clock::now();
  const auto leave = [&] {
    lock.lock();
    own.left = Clock::now();
    own.used += own.left - begin;
    busy_ = false;
    changed_.notify_all();
  };
  try {
    work();
  } catch (...) {  // the turn ends, then the error goes on
    leave();
    throw;
  }
  leave();
}

}  // namespace dalle1::rerank
