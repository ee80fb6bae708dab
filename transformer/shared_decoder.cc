#include "transformer/shared_decoder.h"

#include <algorithm>
#include <deque>
#include <exception>
#include <iterator>

#include "transformer/shares.h"

namespace dalle1::transformer {

/// What one caller of decode() waits for.
class SharedDecoder::Job {
 public:
  Job(const Prompt& prompt, std::span<const uint32_t> candidates)
      : prompt_(prompt), candidates_(candidates) {}

  int64_t rows() const {
    return static_cast<int64_t>(candidates_.size()) * static_cast<int64_t>(prompt_.prefixes().size());
  }
  Device& device() const { return prompt_.model().device(); }
  bool finished() const { return error || cells_ == prompt_.model().config().cells(); }
  /// Cells that all candidates have, as of the last step.
  int32_t cells() const { return cells_; }
  void count() { cells_ = prompt_.prefilled() + taken_; }

  /// The groups that a step takes further; made when there are none. One that outweighs the `others` is
  /// divided among threads.
  std::deque<Lockstep>& groups(int64_t others) {
    if (!groups_.empty()) return groups_;
    const auto prompts = static_cast<int>(prompt_.prefixes().size());
    const size_t size = candidates_.size();
    const size_t shares =
        rows() < others ? 1 : share_count(static_cast<int64_t>(size), prompts, device().threads());
    for (size_t i = 0; i < shares; ++i) {
      const size_t first = size * i / shares, end = size * (i + 1) / shares;
      groups_.emplace_back(prompt_, candidates_.subspan(first, end - first));
    }
    return groups_;
  }
  void took_step() { ++taken_; }

  std::vector<int64_t> tokens(int32_t cells) const {
    std::vector<int64_t> all;
    for (const Lockstep& group : groups_) {
      const auto tokens = group.tokens(cells);
      all.insert(all.end(), tokens.begin(), tokens.end());
    }
    return all;
  }

  Decoded result() const {
    Decoded decoded;
    decoded.cells = cells_;
    for (const Lockstep& group : groups_) group.append_to(decoded);
    return decoded;
  }

  std::exception_ptr error;

 private:
  const Prompt& prompt_;
  const std::span<const uint32_t> candidates_;
  std::deque<Lockstep> groups_;
  int32_t taken_ = 0;                    // steps
  int32_t cells_ = prompt_.prefilled();  // read by its caller while a step goes on
};

namespace {

int64_t rows_of(std::span<Lockstep* const> groups) {
  int64_t rows = 0;
  for (const Lockstep* group : groups) rows += group->rows();
  return rows;
}

// Deals groups to `shares`, the largest first, each to whom has least.
std::vector<std::vector<Lockstep*>> deal(std::vector<Lockstep*> groups, int shares) {
  std::vector<std::vector<Lockstep*>> dealt(static_cast<size_t>(shares));
  std::stable_sort(groups.begin(), groups.end(), [](auto* a, auto* b) { return a->rows() > b->rows(); });
  for (Lockstep* group : groups) {
    const auto least = std::min_element(dealt.begin(), dealt.end(),
                                        [](auto& a, auto& b) { return rows_of(a) < rows_of(b); });
    least->push_back(group);
  }
  return dealt;
}

void step_all(Device& device, const std::vector<Lockstep*>& groups) {
  const int shares = std::min<int>(static_cast<int>(groups.size()),
                                   share_count(rows_of(groups), /*groups=*/1, device.threads()));
  if (shares <= 1) return step_together(groups);
  const auto dealt = deal(groups, shares);
  device.run_parallel(shares, [&](int share) { step_together(dealt[static_cast<size_t>(share)]); });
}

}  // namespace

void SharedDecoder::admit() {
  int64_t rows = 0;
  for (const Job* job : active_) rows += job->rows();
  while (!waiting_.empty() && (active_.empty() || rows + waiting_.front()->rows() <= most_rows_)) {
    rows += waiting_.front()->rows();
    active_.splice(active_.end(), waiting_, waiting_.begin());
  }
}

// One cell for all who are active.
void SharedDecoder::take_step(std::unique_lock<std::mutex>& lock) {
  std::vector<Job*> jobs;
  std::copy_if(active_.begin(), active_.end(), std::back_inserter(jobs),
               [](const Job* job) { return !job->finished(); });
  if (jobs.empty()) return changed_.wait(lock);  // for those who are about to leave
  stepping_ = true;
  lock.unlock();
  std::exception_ptr error;
  try {
    exclusive_([&] {
      int64_t rows = 0;
      for (const Job* job : jobs) rows += job->rows();
      std::vector<Lockstep*> groups;
      for (Job* job : jobs) {
        for (Lockstep& group : job->groups(rows - job->rows())) groups.push_back(&group);
      }
      step_all(jobs.front()->device(), groups);
      for (Job* job : jobs) job->took_step();
    });
  } catch (...) {
    error = std::current_exception();
  }
  lock.lock();
  for (Job* job : jobs) {
    job->count();
    job->error = error;
  }
  stepping_ = false;
  changed_.notify_all();
}

Decoded SharedDecoder::decode(const Prompt& prompt, std::span<const uint32_t> candidates,
                              const std::function<bool(const Standing&)>& progress) {
  Job job(prompt, candidates);
  std::unique_lock lock(mutex_);
  waiting_.push_back(&job);
  const auto leave = [&] {
    changed_.wait(lock, [&] { return !stepping_; });
    active_.remove(&job);
    waiting_.remove(&job);
    changed_.notify_all();
  };
  int32_t told = job.cells();
  try {
    for (bool stay = true; stay && !job.finished();) {
      admit();
      if (!stepping_) {
        take_step(lock);
      } else {
        changed_.wait(lock);
      }
      if (!progress || job.cells() == told || job.error) continue;
      told = job.cells();
      lock.unlock();
      stay = progress({told, [&job, told] { return job.tokens(told); }});
      lock.lock();
    }
  } catch (...) {
    if (!lock) lock.lock();
    leave();
    throw;
  }
  leave();
  if (job.error) std::rethrow_exception(job.error);
  return job.result();
}

}  // namespace dalle1::transformer
