// Captions out of text and JSON as people write them.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "core/data/caption_text.h"
#include "core/data/data_lines.h"
#include "tests/support/data_files.h"
#include "tests/support/golden.h"

using namespace dalle1;

namespace {

void refused(const std::string& json, const char* why) {
  CAPTURE(json);
  CHECK_THROWS_WITH_AS(parse_json_object(json, "x.json"), doctest::Contains(why), Error);
}

std::vector<std::string> captions(const std::string& json) {
  return captions_of(parse_json_object(json, "x.json"), "x.json").value();
}

}  // namespace

TEST_CASE("captions: texts are trimmed, without a byte order mark, and UTF-8") {
  CHECK(caption_of_text("\xef\xbb\xbf \tein K\u00e4tzchen\u00a0\r\n", "a.txt") == "ein K\u00e4tzchen");
  CHECK(caption_of_text("two\nlines\n", "a.txt") == "two\nlines");
  CHECK(caption_of_text("\xef\xbb\xbf", "a.txt").empty());
  CHECK(caption_of_text("", "a.txt").empty());
  const auto bad = [](const std::string& bytes, const char* why) {
    CHECK_THROWS_WITH_AS(caption_of_text(bytes, "a.txt"), doctest::Contains(why), Error);
  };
  bad("caf\xe9", "a.txt is not valid UTF-8 at byte 3 (0xe9)");
  bad("\xef\xbb\xbf"
      "caf\xe9",
      "a.txt is not valid UTF-8 at byte 6 (0xe9)");
  bad(test::utf16("x"), "a.txt: UTF-16");
  bad(std::string("\xfe\xff\0x", 4), "a.txt: UTF-16");
  bad(std::string("\0x\0y", 4), "a.txt: no text: byte 0 is zero");
}

TEST_CASE("captions: JSON as Python writes it") {
  const auto row = parse_json_object(
      R"({"NaN": NaN, "a": [-Infinity, {"b": Infinity}], "s": "NaN, \"Infinity\" \\", "p": "\ud83d\uDE00"})",
      "x");
  CHECK(row["NaN"] == nlohmann::json::array());
  CHECK(row["s"] == "NaN, \"Infinity\" \\");
  CHECK(row["p"] == "\U0001F600");
  refused(R"({"a": NaN, "b": nan})", "x.json, column 18: not a JSON object");
  refused(R"({"a": NaN, "b": tru})", "x.json, column 20: not a JSON object");
  refused(R"({"a": "\uDE00"})", R"(x.json, column 8: the escape \uDE00 is half of a pair)");
  refused(R"({"a": "x\ud83dy"})", R"(column 9: the escape \ud83d is half)");
  refused(R"({"a": "\ud83d\u0041"})", R"(column 8: the escape \ud83d is half)");
  refused(R"({"a": "\ud83d)", "half");
  refused(R"({"a": "\)", "not a JSON object");
  refused("[1]", "x.json: a JSON array");
  refused("", "not a JSON object");
  refused("{'a': 1}", "x.json, column 2: not a JSON object");
}

TEST_CASE("captions: of a row") {
  using Texts = std::vector<std::string>;
  CHECK(captions(R"({"caption": " red\n"})") == Texts{"red"});
  CHECK(captions(R"({"text": ["a", " ", "b "]})") == Texts{"a", "b"});
  CHECK(captions(R"({"text": "other", "caption": "this"})") == Texts{"this"});
  for (const char* none : {R"({"caption": null})", R"({"caption": NaN})", R"({"caption": []})",
                           R"({"caption": " "})", R"({"caption": ["", " "]})"})
    CHECK(captions(none).empty());
  CHECK_FALSE(captions_of(parse_json_object(R"({"Caption": "x"})", "x"), "x").has_value());
  for (const char* bad : {R"({"caption": 7})", R"({"caption": {"en": "x"}})", R"({"caption": ["a", null]})",
                          R"({"caption": Infinity, "caption": true})"})
    CHECK_THROWS_WITH_AS(captions(bad), doctest::Contains("x.json: \"caption\" holds a "), Error);
  CHECK(picture_path_of(parse_json_object(R"({"file_name": "a"})", "x")) == "a");
  CHECK(picture_path_of(parse_json_object(R"({"image": {"bytes": ""}})", "x")).empty());
}

TEST_CASE("captions: lines of a file") {
  const test::ScratchDir scratch;
  test::write_text(scratch / "a.txt", "one\r\n\n \t\r\ntwo\nlast");
  DataLines lines(scratch / "a.txt");
  CHECK(lines.next() == "one");
  CHECK(lines.next() == "two");
  CHECK(lines.where() == (scratch / "a.txt").string() + ", line 4");
  CHECK(lines.next() == "last");
  CHECK(lines.next() == std::nullopt);
  CHECK_THROWS_WITH_AS(DataLines(scratch.path()), doctest::Contains("not a regular file"), Error);
  CHECK_THROWS_WITH_AS(DataLines("/dev/null"), doctest::Contains("not a regular file"), Error);
}
