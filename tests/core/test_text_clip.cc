#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/text/clip_tokenizer.h"
#include "tests/support/golden.h"

using namespace dalle1;
using namespace dalle1::text;

namespace {

const ClipTokenizer& clip() {
  static const auto tokenizer =
      open_tokenizer(std::filesystem::path(DALLE1_SOURCE_DIR) / "weights/tokenizers/clip_bpe.txt.gz");
  return dynamic_cast<const ClipTokenizer&>(*tokenizer);
}

std::string refusal(const std::string& file) {
  try {
    parse_clip_merges({reinterpret_cast<const uint8_t*>(file.data()), file.size()}, "merges.txt");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::model);
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("CLIP: every golden string, also those that need repair") {
  CHECK(clip().kind() == "clip_bpe");
  CHECK(clip().vocab_size() == 49408);
  CHECK(clip().special().bos == 49406);
  CHECK(clip().special().eos == 49407);
  std::ifstream file(test::golden("openai_clip_tokenizer/tokenizer_golden.json"));
  const auto cases = nlohmann::json::parse(file);
  REQUIRE(cases.size() == 72);
  for (const auto& one : cases) {
    const std::string text = one["text"];
    CAPTURE(text);
    CHECK(clean_clip_text(text) == one["cleaned"].get<std::string>());
    const auto ids = clip().encode(text);
    CHECK(ids == one["ids"].get<std::vector<int32_t>>());
    CHECK(clip().decode(ids) == one["decoded"].get<std::string>());
    CHECK(clip().tokenize(text, true) == one["tokenize77_truncate"].get<std::vector<int32_t>>());
    if (one["tokenize77"].is_null()) {
      CHECK_THROWS_WITH_AS(
          clip().tokenize(text),
          fmt::format("prompt has {} tokens, {} more than the limit of 75; shorten it or pass "
                      "truncate",
                      ids.size(), ids.size() - 75)
              .c_str(),
          Error);
    } else {
      CHECK(clip().tokenize(text) == one["tokenize77"].get<std::vector<int32_t>>());
    }
  }
}

TEST_CASE("CLIP: text whose no-break spaces became spaces has the published ids") {
  // OpenAI's simple_tokenizer.py with ftfy 6.3.1.
  const std::pair<const char*, std::vector<int32_t>> cases[] = {
      {"Ã  la carte", {21259, 1210, 44949}},
      {"voilÃ  !", {947, 543, 21259, 256}},
      {"l'Ã©tÃ© Ã  Paris", {331, 262, 3459, 39694, 21259, 3445}},
      {"photoÂ ofÂ aÂ dog", {1125, 539, 320, 1929}},
      {"red dressÂ ", {736, 2595}},
      {"priceÂ £10", {2827, 1950, 272, 271}},
      {"cafÃ© noir", {15304, 12953}}};
  for (const auto& [text, ids] : cases) {
    CAPTURE(text);
    CHECK(clip().encode(text) == ids);
  }
}

TEST_CASE("CLIP: the names of the special tokens in a text are these tokens, as published") {
  const int32_t hi = clip().encode("hi").at(0), bos = clip().special().bos, eos = clip().special().eos;
  CHECK(clip().encode("<|startoftext|>hi<|endoftext|>") == std::vector<int32_t>{bos, hi, eos});
  CHECK(clip().encode("hi<|EndOfText|> hi") == std::vector<int32_t>{hi, eos, hi});
  CHECK(clip().encode("hi <|endoftext") == clip().encode("hi <| endoftext"));
  const auto punctuated = clip().encode("!<|endoftext|>");  // other marks before it are of one word with "<|"
  CHECK(std::ranges::find(punctuated, eos) == punctuated.end());
}

TEST_CASE("CLIP: a long s is an s where the pattern ignores case") {
  const auto long_s = clip().encode("it'\u017F");
  REQUIRE(long_s.size() >= 2);
  CHECK(clip().decode(long_s) == "it '\u017F ");                       // one word: the pattern's 's
  CHECK(clip().decode(clip().encode("it'\u0161")) == "it ' \u0161 ");  // another s: two words
}

TEST_CASE("CLIP: ids cut inside of a character decode to U+FFFD") {
  const auto ids = clip().encode_dropout("\U0001F431", 1, 0, 0);
  REQUIRE(ids.size() == 4);  // one id for each byte
  CHECK(clip().decode(std::span(ids).first(3)) == "\uFFFD");
  CHECK(clip().decode(ids) == "\U0001F431 ");
  CHECK_THROWS_AS(clip().decode(std::vector<int32_t>{49408}), Error);
  CHECK_THROWS_AS(clip().decode(std::vector<int32_t>{-1}), Error);
}

TEST_CASE("CLIP: malformed merges are refused with their line") {
  CHECK(refusal("#version: 0.2\n") == "merges.txt: line 1 ends the file before the first merge");
  CHECK(refusal("#version: 0.2\nab c\n") == "merges.txt: line 2 merges a piece that no line before it makes");
  CHECK(refusal("#version: 0.2\na b c\n") == "merges.txt: line 2 is no pair of pieces");
  CHECK(refusal("#version: 0.2\na b\na b\n") == "merges.txt: line 3 has a merge that is there already");
  CHECK(refusal("#version: 0.2\na</w> b\n") == "merges.txt: line 2 merges on after the end of a word");
  CHECK(refusal("#version: 0.2\na \xFF\n") == "merges.txt: line 2 has a character that stands for no byte");
  CHECK(refusal("#version: 0.2\na b</w>\r\n") == "accepted");
}

TEST_CASE("CLIP: a megabyte is tokenised in well below a second") {
  std::string words, one_word(1 << 20, 'a');
  while (words.size() < 1 << 20) words += "a photo of the armchair, in the shape of 12 avocados; caf\u00E9 ";
  std::string references = "&";
  while (references.size() < 1 << 20)
    references += "amp;#xFF06;";  // each pass of the repair uncovers one more
  for (const std::string& text : {words, one_word, references}) {
    const auto start = std::chrono::steady_clock::now();
    const size_t count = clip().encode(text).size();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    MESSAGE(count << " tokens of " << text.size() << " bytes in " << seconds.count() << " s");
    CHECK(count > 10000);
    CHECK(seconds.count() < 10);  // generous for sanitizers; a loop of quadratic time takes hours
  }
}
