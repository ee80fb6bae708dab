#include "tools/train/picture_sources.h"

#include "dvae/picture_batches.h"

namespace dalle1::tools {

std::shared_ptr<PairSource> open_picture_sources(const std::string& list, DataReport& report) {
  std::vector<std::unique_ptr<PairSource>> sources;
  std::string item;
  int depth = 0;
  for (const char c : list + ',') {
    depth += (c == '{') - (c == '}');
    if (c != ',' || depth > 0) {
      item += c;
    } else if (!item.empty()) {
      sources.push_back(open_pairs(std::exchange(item, {})));
    }
  }
  std::shared_ptr<PairSource> joined = dvae::join_sources(std::move(sources));
  report.add(joined->summary());
  return joined;
}

}  // namespace dalle1::tools
