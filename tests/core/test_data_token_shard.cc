// Token shards: packing, round trips, damage at every byte.
#include <doctest/doctest.h>

#include <fstream>

#include "core/data/token_shard.h"
#include "core/error.h"
#include "core/io/file_bytes.h"
#include "tests/support/golden.h"

using namespace dalle1;
namespace fs = std::filesystem;

namespace {

const TokenShardInfo kInfo{4, 100, "ab12", "cd34"};

std::vector<int32_t> tokens_of(const TokenShardInfo& info, uint32_t seed) {
  std::vector<int32_t> tokens(static_cast<size_t>(info.grid) * info.grid);
  uint32_t state = seed + 1;
  for (int32_t& token : tokens) {
    state = state * 1664525 + 1013904223;
    token = static_cast<int32_t>((state >> 8) % static_cast<uint32_t>(info.codes));
  }
  return tokens;
}

void write_shard(const fs::path& path, const TokenShardInfo& info, uint32_t first, uint32_t count) {
  TokenShardWriter writer(path, info);
  for (uint32_t i = first; i < first + count; ++i) {
    writer.add(tokens_of(info, i), i == 1 ? "" : fmt::format("caption {} 猫", i), i * 3);
  }
  CHECK(writer.count() == count);
  writer.finish();
}

}  // namespace

TEST_CASE("token shard: bits are packed lowest first") {
  CHECK(pack_bits(std::vector<int32_t>{1, 2, 3}, 13) == std::vector<uint8_t>{0x01, 0x40, 0x00, 0x0c, 0x00});
  CHECK(pack_bits(std::vector<int32_t>{1, 0, 1, 1}, 1) == std::vector<uint8_t>{0x0d});
  for (int bits = 1; bits <= 24; ++bits) {
    std::vector<int32_t> values;
    for (int i = 0; i < 37; ++i) values.push_back((i * 2654435 + bits) & ((1 << bits) - 1));
    values.push_back((1 << bits) - 1);
    const std::vector<uint8_t> packed = pack_bits(values, bits);
    CHECK(packed.size() == (values.size() * bits + 7) / 8);
    CHECK(unpack_bits(packed, values.size(), bits) == values);
  }
  CHECK(TokenShardInfo{32, 8192, "", ""}.bits() == 13);
  CHECK(TokenShardInfo{32, 8192, "", ""}.packed_bytes() == 1664);
  CHECK(TokenShardInfo{32, 8193, "", ""}.bits() == 14);
  CHECK(TokenShardInfo{3, 2, "", ""}.packed_bytes() == 2);
}

TEST_CASE("token shard: every record comes back") {
  const test::ScratchDir scratch;
  for (const TokenShardInfo& info :
       {kInfo, TokenShardInfo{32, 8192, "d", ""}, TokenShardInfo{1, 2, "", ""}}) {
    const fs::path path = scratch / fmt::format("{}.tokens", info.codes);
    write_shard(path, info, 0, 7);
    const TokenShard shard(path);
    CHECK(shard.info() == info);
    REQUIRE(shard.size() == 7);
    for (uint32_t i = 0; i < 7; ++i) {
      const TokenRecord record = shard.read(i);
      CHECK(record.tokens == tokens_of(info, i));
      CHECK(record.caption == (i == 1 ? "" : fmt::format("caption {} 猫", i)));
      CHECK(record.kind == i * 3);
    }
    CHECK_THROWS_AS(shard.read(7), Error);
  }
}

TEST_CASE("token shard: shards of a folder read as one list") {
  const test::ScratchDir scratch;
  write_shard(scratch / "0.tokens", kInfo, 0, 3);
  write_shard(scratch / "1.tokens", kInfo, 3, 0);
  write_shard(scratch / "2.tokens", kInfo, 3, 4);
  const TokenShards shards(scratch.path());
  REQUIRE(shards.size() == 7);
  for (uint32_t i = 0; i < 7; ++i) CHECK(shards.read(i).tokens == tokens_of(kInfo, i));
  CHECK(TokenShards(scratch / "2.tokens").size() == 4);
  TokenShardInfo other = kInfo;
  other.dvae_sha256 = "ef56";
  write_shard(scratch / "3.tokens", other, 0, 1);
  CHECK_THROWS_WITH_AS(TokenShards(scratch.path()), doctest::Contains("made with another dVAE"), Error);
  const test::ScratchDir empty;
  CHECK_THROWS_WITH_AS(TokenShards(empty.path()), doctest::Contains("no .tokens files"), Error);
}

TEST_CASE("token shard: an unfinished writer leaves nothing; wrong records are refused") {
  const test::ScratchDir scratch;
  {
    TokenShardWriter writer(scratch / "x.tokens", kInfo);
    writer.add(tokens_of(kInfo, 0), "x");
    CHECK_THROWS_AS(writer.add(std::vector<int32_t>(15), "x"), Error);
    CHECK_THROWS_AS(writer.add(std::vector<int32_t>(16, 100), "x"), Error);
    CHECK_THROWS_AS(writer.add(std::vector<int32_t>(16, -1), "x"), Error);
    CHECK_THROWS_AS(writer.add(tokens_of(kInfo, 0), std::string((1 << 20) + 1, 'x')), Error);
    CHECK(writer.count() == 1);
  }
  CHECK(fs::is_empty(scratch.path()));
  CHECK_THROWS_AS(TokenShardWriter(scratch / "x.tokens", TokenShardInfo{0, 100, "", ""}), Error);
}

TEST_CASE("token shard: no damaged byte and no cut passes unnoticed") {
  const test::ScratchDir scratch;
  const fs::path path = scratch / "x.tokens";
  write_shard(path, kInfo, 0, 5);
  const std::vector<uint8_t> whole = read_file(path, 1 << 20);
  const auto refusal = [&](std::vector<uint8_t> bytes) -> std::string {
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<long>(bytes.size()));
    try {
      const TokenShard shard(path);
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::input);
      CHECK(std::string(error.what()).starts_with(path.string() + ": "));
      return error.what();
    }
    return "";
  };
  CHECK(refusal(whole) == "");
  for (size_t i = 0; i < whole.size(); ++i) {
    CAPTURE(i);
    std::vector<uint8_t> damaged = whole;
    damaged[i] ^= 0x41;
    CHECK(refusal(damaged) != "");
    CHECK(refusal({whole.begin(), whole.begin() + static_cast<long>(i)}) != "");
  }
  std::vector<uint8_t> damaged = whole;
  const size_t records = 16 + whole[12] + 256 * whole[13];
  damaged[records + 20] ^= 1;
  CHECK(refusal(damaged).ends_with(fmt::format("wrong checksum of record 0 at byte {}", records)));
  // Left unchecked at first, the record is refused when it is read.
  const TokenShard shard(path, false);
  CHECK(shard.read(1).kind == 3);
  CHECK_THROWS_AS(shard.read(0), Error);
}
