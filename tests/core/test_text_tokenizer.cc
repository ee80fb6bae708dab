#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "core/error.h"
#include "core/text/gzip.h"
#include "core/text/tokenizer.h"
#include "core/text/utf8.h"
#include "tests/support/golden.h"

using namespace dalle1;
using namespace dalle1::text;

namespace {

std::filesystem::path merges_file() {
  return std::filesystem::path(DALLE1_SOURCE_DIR) / "weights/tokenizers/clip_bpe.txt.gz";
}

std::unique_ptr<Tokenizer> parse(std::string_view file) {
  return parse_tokenizer({reinterpret_cast<const uint8_t*>(file.data()), file.size()}, "file");
}

std::string invalid_utf8(std::string_view text) {
  try {
    check_utf8(text);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::input);
    return error.what();
  }
  return "valid";
}

// Byte-pair encoding as it is defined: again and again the best pair, the leftmost of equals.
std::vector<int32_t> merge_slowly(const MergeTable& table, std::vector<int32_t> symbols) {
  while (true) {
    const Merge* best = nullptr;
    size_t best_at = 0;
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      const Merge* merge = table.find(symbols[i], symbols[i + 1]);
      if (merge && (!best || merge->rank < best->rank)) best = merge, best_at = i;
    }
    if (!best) return symbols;
    symbols[best_at] = best->symbol;
    symbols.erase(symbols.begin() + static_cast<ptrdiff_t>(best_at) + 1);
  }
}

}  // namespace

TEST_CASE("tokenizers are recognised by their content") {
  CHECK(open_tokenizer(merges_file())->kind() == "clip_bpe");
  CHECK(open_tokenizer(test::golden("yttm/bpe.model"))->kind() == "yttm");
  CHECK(parse("\"title#version: 0.2\na b\n")->kind() == "clip_bpe");
  CHECK_THROWS_AS(parse(""), Error);
  CHECK_THROWS_AS(parse("{\"format\": 1}\n"), Error);
  CHECK_THROWS_AS(parse("\x89PNG"), Error);
  try {
    open_tokenizer("no/such.model");
    FAIL("opened");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::model);
    CHECK(std::string(error.what()).find("no/such.model") != std::string::npos);
  }
}

TEST_CASE("a damaged gzip is refused, and none grows beyond its limit") {
  std::ifstream file(merges_file(), std::ios::binary);
  const std::vector<char> content{std::istreambuf_iterator<char>(file), {}};
  const std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(content.data()), content.size());
  CHECK(gunzip(bytes, 4 << 20, "m").size() == 3194984);
  CHECK_THROWS_WITH_AS(gunzip(bytes, 1 << 20, "m"), "m: unpacks to more than 1048576 bytes", Error);
  CHECK_THROWS_AS(gunzip(bytes.first(100000), 4 << 20, "m"), Error);
  std::vector<uint8_t> damaged(bytes.begin(), bytes.end());
  damaged[5000] ^= 0x55;
  CHECK_THROWS_AS(gunzip(damaged, 4 << 20, "m"), Error);
}

TEST_CASE("a prompt that is too long is an error that says by how much") {
  std::vector<int32_t> ids(301, 5);
  CHECK_THROWS_WITH_AS(fit(ids, 256, false),
                       "prompt has 301 tokens, 45 more than the limit of 256; shorten it or pass truncate",
                       Error);
  CHECK(fit(ids, 256, true).size() == 256);
  CHECK(fit(ids, 301, false) == ids);

  const SpecialIds special{.pad = 0, .unk = 1, .bos = 2, .eos = 3};
  const std::vector<int32_t> three{7, 8, 9};
  CHECK(frame(three, special, 7, Overflow::refuse) == std::vector<int32_t>{2, 7, 8, 9, 3, 0, 0});
  CHECK(frame(three, special, 5, Overflow::refuse) == std::vector<int32_t>{2, 7, 8, 9, 3});
  CHECK(frame(three, special, 4, Overflow::keep_eos) == std::vector<int32_t>{2, 7, 8, 3});
  CHECK(frame(three, special, 4, Overflow::cut) == std::vector<int32_t>{2, 7, 8, 9});
  CHECK_THROWS_WITH_AS(frame(three, special, 4, Overflow::refuse, "caption"),
                       "caption has 3 tokens, 1 more than the limit of 2; shorten it or pass truncate",
                       Error);
  CHECK_THROWS_AS(frame(three, SpecialIds{}, 7, Overflow::refuse), Error);
}

TEST_CASE("invalid UTF-8 is an error with the offset of the byte, in every tokenizer") {
  CHECK(invalid_utf8("a\xF0\x9F\x90\xB1\xE2\x96\x81") == "valid");
  CHECK(invalid_utf8("ab\xFFz") == "the text is not valid UTF-8 at byte 2 (0xff); save it as UTF-8");
  for (const char* bad : {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
                          "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xE2\x96", "\xF0\x9F\x90", "\xC3"})
    CHECK(invalid_utf8(bad).find("at byte 0") != std::string::npos);
  CHECK(to_utf8(to_code_points_lossy("a\xE2\x96z\xF0\x9F\x90\xC0\x80")) == "a\uFFFDz\uFFFD\uFFFD\uFFFD");
  for (const auto& tokenizer :
       {open_tokenizer(merges_file()), open_tokenizer(test::golden("yttm/bpe.model"))}) {
    CHECK_THROWS_AS(tokenizer->encode("a\xC3"), Error);
    CHECK(tokenizer->encode("").empty());
    CHECK(tokenizer->decode({}).empty());
  }
}

TEST_CASE("the merge loop equals its definition on random rules") {
  RandomStream draws(1, Stream::test);
  for (int round = 0; round < 200; ++round) {
    MergeTable table;
    const int32_t letters = 3;
    int32_t symbols = letters;
    for (int32_t rank = 0; rank < 12;
         ++rank) {  // rules of equal rank too, and rules that come before their parts
      const auto left = static_cast<int32_t>(draws.below(symbols)),
                 right = static_cast<int32_t>(draws.below(symbols));
      if (table.add(left, right, {static_cast<int32_t>(draws.below(8)), symbols})) ++symbols;
    }
    std::vector<int32_t> word;
    for (uint32_t n = draws.below(40); n > 0; --n) word.push_back(static_cast<int32_t>(draws.below(letters)));
    std::vector<int32_t> merged;
    WordMerger(table).append(word, merged);
    CHECK(merged == merge_slowly(table, word));
  }
}
