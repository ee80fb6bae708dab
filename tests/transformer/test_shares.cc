#include "transformer/shares.h"

#include <doctest/doctest.h>

#include <initializer_list>

using namespace dalle1::transformer;

TEST_CASE("threads take shares when these are large enough, for any number of threads") {
  for (int threads = 1; threads <= 8; ++threads) CHECK(share_count(64, 1, threads) == threads);
  for (int threads = 1; threads <= 16; ++threads) CHECK(share_count(64, 2, threads) == threads);
  CHECK(share_count(512, 1, 64) == 64);
  CHECK(share_count(64, 1, 16) == 8);  // more would mostly read weights
  CHECK(share_count(64, 1, 17) == 1);  // and most threads would have nothing to do
  CHECK(share_count(15, 1, 2) == 1);
  CHECK(share_count(15, 2, 2) == 2);  // guidance doubles the rows
  CHECK(share_count(16, 1, 4) == 1);  // two shares cost more than four threads together
  CHECK(share_count(1, 1, 8) == 1);
  CHECK(share_count(0, 1, 8) == 1);
}

TEST_CASE("no share is below 8 rows, and none is without a thread") {
  for (int threads = 1; threads <= 96; ++threads) {
    for (int candidates = 1; candidates <= 300; ++candidates) {
      for (const int groups : {1, 2}) {
        const int shares = share_count(candidates, groups, threads);
        REQUIRE(shares >= 1);
        REQUIRE(shares <= threads);
        if (shares > 1) REQUIRE(candidates / shares * groups >= 8);
      }
    }
  }
}
