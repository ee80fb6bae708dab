// Decoding on a device that others use as well.
#include "rerank/in_turns.h"

#include <doctest/doctest.h>

#include <numeric>
#include <thread>

#include "core/error.h"
#include "tests/rerank/fakes.h"

namespace dalle1::test {

TEST_CASE("a decoder in turns gives the pictures of one at once") {
  constexpr int kCount = 11;
  std::vector<int32_t> tokens(kCount * kFakeCells);
  std::iota(tokens.begin(), tokens.end(), 1);
  FakeDecoder whole, parts;
  rerank::DeviceTurns turns;
  int between = 0;
  rerank::DecoderInTurns decoder(parts, turns, [&] { ++between; });
  const auto expected = whole.decode(tokens, kCount), pictures = decoder.decode(tokens, kCount);
  REQUIRE(pictures.size() == expected.size());
  for (size_t i = 0; i < pictures.size(); ++i) CHECK(pictures[i].pixels == expected[i].pixels);
  CHECK(parts.most_at_once == 4);
  CHECK(between == 3);
}

TEST_CASE("what is not wanted any more is decoded no further, and others have their turn") {
  std::vector<int32_t> tokens(64 * kFakeCells, 1);
  FakeDecoder pictures;
  rerank::DeviceTurns turns;
  int turns_taken = 0;
  rerank::DecoderInTurns decoder(pictures, turns, [&] {
    if (++turns_taken == 2) throw Error(ErrorKind::interrupted, "cancelled");
  });
  CHECK_THROWS_AS(decoder.decode(tokens, 64), Error);
  CHECK(turns_taken == 2);
  bool other = false;
  std::thread([&] { turns.take(rerank::DeviceTurns::other, [&] { other = true; }); }).join();
  CHECK(other);
}

}  // namespace dalle1::test
