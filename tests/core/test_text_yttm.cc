#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/text/tokenizer.h"
#include "core/text/unicode.h"
#include "core/text/utf8.h"
#include "core/text/yttm_tokenizer.h"
#include "tests/support/golden.h"

using namespace dalle1;
using namespace dalle1::text;

namespace {

std::unique_ptr<Tokenizer> parse(const std::string& file) {
  return parse_yttm({reinterpret_cast<const uint8_t*>(file.data()), file.size()}, "bpe.model");
}

std::string refusal(const std::string& file) {
  try {
    parse(file);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::model);
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("YTTM: ids, text and ru-dalle's slots equal the published implementation's") {
  const auto tokenizer = open_tokenizer(test::golden("yttm/bpe.model"));
  CHECK(tokenizer->kind() == "yttm");
  CHECK(tokenizer->vocab_size() == 400);
  std::ifstream file(test::golden("yttm/yttm_golden.json"));
  const auto cases = nlohmann::json::parse(file);
  REQUIRE(cases.size() == 25);
  for (const auto& one : cases) {
    const std::string text = one["text"];
    CAPTURE(text);
    const auto ids = tokenizer->encode(text);
    CHECK(ids == one["ids"].get<std::vector<int32_t>>());
    CHECK(tokenizer->decode(ids) == one["decoded"].get<std::string>());

    const std::string prompt = to_utf8(strip(lower_case(to_code_points(text))));
    CHECK(prompt == one["rudalle_prompt"].get<std::string>());
    for (const size_t length : {12, 128}) {
      const auto framed = frame(tokenizer->encode(prompt), tokenizer->special(), length, Overflow::cut);
      CHECK(framed == one["rudalle_ids_" + std::to_string(length)].get<std::vector<int32_t>>());
    }
  }
}

TEST_CASE("YTTM: BPE dropout of 0 changes nothing, of 1 leaves characters") {
  const auto tokenizer = open_tokenizer(test::golden("yttm/bpe.model"));
  const std::string text = "радуга на фоне ночного города";
  CHECK(tokenizer->encode_dropout(text, 0, 1, 2) == tokenizer->encode(text));
  const auto characters = tokenizer->encode_dropout(text, 1, 1, 2);
  CHECK(characters.size() == to_code_points(text).size() + 1);  // and the mark of the first word
  CHECK(tokenizer->decode(characters) == text);
}

TEST_CASE("YTTM: malformed files are refused with their line") {
  const std::string good = "2 1\n9601 4\n97 5\n4 5 6\n1 0 2 3\n";
  CHECK(parse(good)->encode("a a") == std::vector<int32_t>{6, 6});
  CHECK(refusal("").find("line 1") != std::string::npos);
  CHECK(refusal("99999999 1\n") == "bpe.model: line 1 claims more characters and rules than the file has");
  CHECK(refusal("2 1\n9601 4\n55296 5\n4 5 6\n1 0 2 3\n") == "bpe.model: line 3 has no valid code point");
  CHECK(refusal("2 1\n9601 4\n97 5\n4 6 6\n1 0 2 3\n") ==
        "bpe.model: line 4 merges an id that no line before it defines");
  CHECK(refusal("2 1\n9601 4\n97 5\n4 5 5\n1 0 2 3\n") == "bpe.model: line 4 defines an id again");
  CHECK(refusal("2 1\n9601 4\n97 5\n4 5 6\n1 0 -1 -1\n").find("id without a meaning") != std::string::npos);
  CHECK(refusal("2 1\n9601 4\n97 5\n4 5 6\n1 0 2\n") ==
        "bpe.model: line 5 is not the numbers of a YTTM model");
  CHECK(refusal("2 1\n9601 4\n97 5\n4 5 6\n-1 0 2 3\n").find("unknown") != std::string::npos);
}

TEST_CASE("YTTM: pieces that double with every rule stop before they fill the memory") {
  std::string file = "1 60\n97 4\n";
  int32_t id = 4;
  for (int i = 0; i < 60; ++i, ++id) file += fmt::format("{} {} {}\n", id, id, id + 1);
  CHECK(refusal(file + "1 0 2 3\n") == "bpe.model: line 15 makes a piece that is too long");
}

TEST_CASE("YTTM: many long pieces stop before they fill the memory") {
  constexpr int characters = 22000, doublings = 10;
  std::string file = fmt::format("{} {}\n", characters, doublings + characters);
  for (int i = 0; i < characters; ++i) file += fmt::format("{} {}\n", 0x3400 + i, i);
  int32_t id = characters - 1;
  for (int i = 0; i < doublings; ++i, ++id) file += fmt::format("{} {} {}\n", id, id, id + 1);
  for (int i = 0; i < characters; ++i) file += fmt::format("{} {} {}\n", id, i, id + 1 + i);
  CHECK(refusal(file + "-1 0 2 3\n").find("makes more text than a tokenizer has") != std::string::npos);
}
