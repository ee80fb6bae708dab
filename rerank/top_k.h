// The k best of a stream, in bounded memory, in an order that has no ties.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace dalle1::rerank {

struct Standing {
  double score = 0;  ///< finite
  uint32_t candidate = 0;
  bool constant = false;  ///< The picture has one colour: it comes after all others that were looked at.
  bool pruned = false;    ///< Its picture was not looked at: it comes after all that were.
};

/// Whether `a` ranks before `b`: pictures that were looked at first, of them those that show something, then
/// the higher score, then the lower candidate index. A strict total order over distinct candidates.
inline bool ranks_before(const Standing& a, const Standing& b) {
  if (a.pruned != b.pruned) return b.pruned;
  if (a.constant != b.constant) return b.constant;
  if (a.score != b.score) return a.score > b.score;
  return a.candidate < b.candidate;
}

/// Keeps the k best entries added so far, whatever the order in which they come.
template <typename Payload>
class TopK {
 public:
  using Entry = std::pair<Standing, Payload>;

  explicit TopK(size_t k) : k_(k) {}

  /// Whether add() would keep this one now: lets callers skip making its payload.
  bool admits(const Standing& standing) const {
    return k_ > 0 && (heap_.size() < k_ || ranks_before(standing, heap_.front().first));
  }

  void add(const Standing& standing, Payload payload) {
    if (!admits(standing)) return;
    if (heap_.size() == k_) {
      std::pop_heap(heap_.begin(), heap_.end(), before);
      heap_.pop_back();
    }
    heap_.emplace_back(standing, std::move(payload));
    std::push_heap(heap_.begin(), heap_.end(), before);
  }

  size_t size() const { return heap_.size(); }

  /// Best first; leaves nothing behind.
  std::vector<Entry> take() {
    std::sort_heap(heap_.begin(), heap_.end(), before);
    return std::exchange(heap_, {});
  }

 private:
  // With this order the heap's front is the worst entry and sort_heap gives the best first.
  static bool before(const Entry& a, const Entry& b) { return ranks_before(a.first, b.first); }

  size_t k_;
  std::vector<Entry> heap_;
};

}  // namespace dalle1::rerank
