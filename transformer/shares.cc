#include "transformer/shares.h"

#include <algorithm>

namespace dalle1::transformer {
namespace {

// As in the packed product, which reads a weight in the time of a dozen multiplications: with 16 rows it has
// 0.6 of the speed that it has with many, with 4 rows 0.2.
constexpr double kWeightRows = 12;
// From two threads and 64 candidates: in shares 1.52 times as fast with guidance and 6 layers of 192, 1.47
// times without and 12 of 512 (tests/bench/cpu_notes.md); both say 1.5. More than two threads have not been
// measured. They divide more of this work, so it is no reason to leave most of them idle.
constexpr double kOtherWork = 1.5;
constexpr int64_t kLeastRows = 8;

double cost_apart(int64_t candidates, int groups, int64_t shares) {
  const auto rows = static_cast<double>((candidates + shares - 1) / shares * groups);
  return kWeightRows + rows + kOtherWork * rows;
}

double cost_together(int64_t candidates, int groups, int threads) {
  const auto rows = static_cast<double>(candidates * groups);
  return (kWeightRows + rows) / threads + kOtherWork * rows;
}

}  // namespace

int share_count(int64_t candidates, int groups, int threads) {
  const int64_t least = (kLeastRows + groups - 1) / groups;  // candidates of a share
  const int64_t shares = std::min<int64_t>(threads, candidates / least);
  const bool apart = shares > 1 && 2 * shares >= threads &&
                     cost_apart(candidates, groups, shares) < cost_together(candidates, groups, threads);
  return apart ? static_cast<int>(shares) : 1;
}

}  // namespace dalle1::transformer
