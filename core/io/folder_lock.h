// One run at a time in an output folder.
#pragma once

#include <filesystem>
#include <utility>

namespace dalle1 {

/// Holds a folder for this process: flock(2) on the folder itself, so that nothing is left in it, and a
/// process that is killed holds it no longer. File systems without such locks (some network ones) keep nobody
/// out: there held() is false and runs must be kept apart by hand.
class FolderLock {
 public:
  /// Error(usage) when another run holds the folder; Error(output) when it cannot be opened.
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(FolderLock&& other) noexcept
      : folder_(std::exchange(other.folder_, -1)), held_(std::exchange(other.held_, false)) {}
  FolderLock& operator=(FolderLock&&) = delete;

  bool held() const { return held_; }

 private:
  int folder_ = -1;
  bool held_ = false;
};

}  // namespace dalle1
