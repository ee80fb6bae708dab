// Token shards with damage in them.
#include <doctest/doctest.h>

#include <fstream>
#include <iterator>

#include "core/error.h"
#include "tests/support/golden.h"
#include "transformer/token_samples.h"

namespace dalle1::test {
namespace {

using transformer::TokenSamples;

// Ten records "caption 0" to "caption 9"; those of `damaged` have one wrong letter.
std::filesystem::path write_shard(const ScratchDir& scratch, const std::vector<int>& damaged) {
  const auto path = scratch / "pairs.tokens";
  TokenShardWriter writer(path, {2, 16, "dvae", ""});
  for (int i = 0; i < 10; ++i) writer.add(std::vector<int32_t>(4, i), "caption " + std::to_string(i));
  writer.finish();
  std::ifstream in(path, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(in)), {});
  for (int i : damaged) bytes[bytes.find("caption " + std::to_string(i))] = 'X';
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  return path;
}

}  // namespace

TEST_CASE("damaged records are named and left out, as long as they are few") {
  ScratchDir scratch;
  const TokenShards shards(write_shard(scratch, {0, 1, 6}), /*check_records=*/false);
  std::vector<std::string> lines;
  const auto listen = [&](const std::string& line) { lines.push_back(line); };
  const TokenSamples samples(shards, 0.3, listen);
  CHECK(lines.size() == 3);
  REQUIRE(samples.size() == 7);
  const char* const left[] = {"caption 2", "caption 3", "caption 4", "caption 5",
                              "caption 7", "caption 8", "caption 9"};
  for (uint64_t i = 0; i < 7; ++i) CHECK(samples.read(i).caption == left[i]);
  CHECK_THROWS_WITH_AS(TokenSamples(shards, 0.2, listen), doctest::Contains("may be (max_bad): "), Error);
  CHECK_THROWS_AS(TokenSamples(shards, 0, listen), Error);
}

TEST_CASE("one damaged record never stops a small set, unless none is allowed") {
  ScratchDir scratch;
  const TokenShards shards(write_shard(scratch, {9}), /*check_records=*/false);
  CHECK(TokenSamples(shards, 0.001, [](const std::string&) {}).size() == 9);
  CHECK_THROWS_AS(TokenSamples(shards, 0, [](const std::string&) {}), Error);
  CHECK(TokenSamples(shards).size() == 10);
}

TEST_CASE("samples without a caption stay, and are counted") {
  ScratchDir scratch;
  TokenShardWriter writer(scratch / "pairs.tokens", {2, 16, "dvae", ""});
  for (const char* caption : {"red", "", "blue", ""}) writer.add(std::vector<int32_t>(4, 1), caption);
  writer.finish();
  const TokenShards shards(scratch / "pairs.tokens", /*check_records=*/false);
  const TokenSamples samples(shards, 0, [](const std::string&) {});
  CHECK(samples.size() == 4);
  CHECK(samples.without_caption() == 2);
}

}  // namespace dalle1::test
