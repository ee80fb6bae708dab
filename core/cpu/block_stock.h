// Blocks of host memory by size, kept for reuse, so that the temporaries of a step do not go back to the
// system each time.
#pragma once

#include <algorithm>
#include <cstddef>
#include <map>
#include <vector>

namespace dalle1::cpu {

class BlockStock {
 public:
  static constexpr size_t large_block = size_t{1} << 20;  ///< Larger sizes are kept at coarser steps.
  static constexpr size_t limit = size_t{2} << 30;        ///< Bytes kept at most.

  /// The size of the block that holds so many bytes.
  static size_t rounded(size_t bytes) {
    const size_t step = bytes >= large_block ? large_block / 4 : 256;
    return (std::max<size_t>(bytes, 1) + step - 1) / step * step;
  }

  /// A block of a rounded size; null when none is kept.
  void* take(size_t size) {
    const auto found = blocks_.find(size);
    if (found == blocks_.end() || found->second.empty()) return nullptr;
    void* block = found->second.back();
    found->second.pop_back();
    bytes_ -= size;
    return block;
  }

  /// False: enough is kept, and the block goes back to the system.
  bool keep(void* block, size_t size) {
    if (bytes_ + size > limit) return false;
    bytes_ += size;
    blocks_[size].push_back(block);
    return true;
  }

  size_t bytes() const { return bytes_; }

  template <typename Use>
  void for_each(const Use& use) const {
    for (const auto& [size, blocks] : blocks_)
      for (void* block : blocks) use(block);
  }

 private:
  std::map<size_t, std::vector<void*>> blocks_;
  size_t bytes_ = 0;
};

}  // namespace dalle1::cpu
