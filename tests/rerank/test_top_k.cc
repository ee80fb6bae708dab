#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "core/random/philox.h"
#include "rerank/top_k.h"

using namespace dalle1;
using rerank::Standing;

TEST_CASE("top-k equals a full sort, with ties and constant pictures, in any order of arrival") {
  RandomStream random(1, Stream::test);
  for (int round = 0; round < 300; ++round) {
    const uint32_t count = random.below(60), k = random.below(70);
    std::vector<Standing> all;
    for (uint32_t i = 0; i < count; ++i)
      all.push_back({static_cast<double>(random.below(6)) - 2, i, random.below(5) == 0});
    for (uint32_t i = count; i > 1; --i) std::swap(all[i - 1], all[random.below(i)]);

    rerank::TopK<uint32_t> best(k);
    for (const auto& standing : all) best.add(standing, standing.candidate * 3);
    auto sorted = all;
    std::sort(sorted.begin(), sorted.end(), rerank::ranks_before);
    const auto kept = best.take();
    REQUIRE(kept.size() == std::min<size_t>(k, count));
    for (size_t i = 0; i < kept.size(); ++i) {
      CHECK(kept[i].first.candidate == sorted[i].candidate);
      CHECK(kept[i].second == sorted[i].candidate * 3);
    }
  }
}

TEST_CASE("the order of results: something before nothing, score, then the lower index") {
  CHECK(rerank::ranks_before({1.0, 7, false}, {2.0, 3, true}));
  CHECK(rerank::ranks_before({2.0, 7, false}, {1.0, 3, false}));
  CHECK(rerank::ranks_before({1.0, 3, false}, {1.0, 7, false}));
  CHECK_FALSE(rerank::ranks_before({1.0, 3, false}, {1.0, 3, false}));
}
