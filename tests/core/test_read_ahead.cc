#include "core/train/read_ahead.h"

#include <doctest/doctest.h>

#include <atomic>
#include <vector>

#include "core/error.h"

namespace dalle1::test {

TEST_CASE("reading ahead gives every number's value in order, from anywhere and beyond the end") {
  ReadAhead<int64_t> ahead([](int64_t n) { return n * n; }, 20, 3);
  for (const int64_t begin : {0, 7, 3})
    for (int64_t n = begin; n < 24; ++n) CHECK(ahead.get(n) == n * n);
}

TEST_CASE("ranks share the micro-batches of each step, and each reads ahead its own") {
  for (const int accumulate : {3, 4, 7}) {
    int64_t computed = 0;
    for (int rank = 0; rank < 3; ++rank) {
      const BatchShare share{rank, 3, accumulate};
      std::atomic<int64_t> made{0};
      ReadAhead<int64_t> ahead(
          [&](int64_t n) {
            CHECK(share.has(n));
            ++made;
            return n;
          },
          5 * accumulate, 2, share);
      for (int64_t n = rank; n < 5 * accumulate; n = share.after(n), ++computed) {
        CHECK(n % accumulate % 3 == rank);
        CHECK(ahead.get(n) == n);
      }
      CHECK(made == 5 * ((accumulate - rank + 2) / 3));  // none twice
    }
    CHECK(computed == 5 * accumulate);
  }
}

TEST_CASE("reading ahead goes no further than asked") {
  std::atomic<int64_t> made{0};
  {
    ReadAhead<int64_t> ahead([&](int64_t n) { return made = n + 1, n; }, 1000, 2);
    for (int64_t n = 0; n < 100; ++n) {
      CHECK(ahead.get(n) == n);
      CHECK(made.load() <= n + 4);  // two wait, one is being made, one was taken
    }
  }
  CHECK(made.load() < 104);  // and ends with its owner
}

TEST_CASE("reading ahead throws what was thrown when its number is asked for, and goes on after it") {
  ReadAhead<int64_t> ahead(
      [](int64_t n) {
        check(n != 4, ErrorKind::input, "sample {} is damaged", n);
        return n;
      },
      8, 2);
  for (int64_t n = 0; n < 4; ++n) CHECK(ahead.get(n) == n);
  CHECK_THROWS_WITH_AS(ahead.get(4), "sample 4 is damaged", Error);
  for (int64_t n = 5; n < 8; ++n) CHECK(ahead.get(n) == n);
}

}  // namespace dalle1::test
