// Timing of one piece of work, for the bench commands.
#pragma once

#include <algorithm>
#include <chrono>
#include <vector>

namespace dalle1::tools {

struct Timing {
  double best = 0, median = 0;  ///< seconds
};

/// Runs `work` once to warm up, then until `budget` seconds are spent, at least 5 times.
template <typename Work>
Timing time_work(double budget, const Work& work) {
  using Clock = std::chrono::steady_clock;
  work();
  std::vector<double> runs;
  const auto start = Clock::now();
  auto before = start;
  while (runs.size() < 5 || std::chrono::duration<double>(before - start).count() < budget) {
    work();
    const auto after = Clock::now();
    runs.push_back(std::chrono::duration<double>(after - before).count());
    before = after;
  }
  std::sort(runs.begin(), runs.end());
  return {runs.front(), runs[runs.size() / 2]};
}

}  // namespace dalle1::tools
