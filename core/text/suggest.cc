#include "core/text/suggest.h"

#include <fmt/format.h>

#include <algorithm>

namespace dalle1::text {

int edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<int>> cost(a.size() + 1, std::vector<int>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) cost[i][0] = static_cast<int>(i);
  for (size_t j = 0; j <= b.size(); ++j) cost[0][j] = static_cast<int>(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      const int replace = cost[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, replace});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
    }
  }
  return cost[a.size()][b.size()];
}

std::string did_you_mean(std::string_view typed, const std::vector<std::string>& names) {
  if (typed.size() > 64) return {};
  const std::string* nearest = nullptr;
  int least = 0;
  for (const auto& name : names) {
    const int distance = edit_distance(typed, name);
    if (!nearest || distance < least) nearest = &name, least = distance;
  }
  // A third of the letters wrong is still a typing error; more is another word.
  if (!nearest || least > std::max<int>(1, static_cast<int>(typed.size()) / 3)) return {};
  return fmt::format("; did you mean '{}'?", *nearest);
}

}  // namespace dalle1::text
