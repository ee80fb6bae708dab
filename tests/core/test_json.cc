// JSON and numbers that people write: places of mistakes, and no value taken for another.
#include "core/json.h"

#include <doctest/doctest.h>

#include <array>

#include "core/text/number.h"

using namespace dalle1;
using nlohmann::json;

TEST_CASE("json: a mistake has a line and a column") {
  CHECK(parse_json("{\"a\": [1, 2]}", "f").at("a").size() == 2);
  const auto refused = [](const char* text, const char* part, int64_t line = 1) {
    CHECK_THROWS_WITH_AS(parse_json(text, "f.json", ErrorKind::input, line), doctest::Contains(part), Error);
  };
  refused("{\"a\": NaN}", "f.json line 1, column 7: not JSON: ");
  refused("{\n  \"a\": 1,\n}", "f.json line 3, column 1: not JSON: ");
  refused("{\"a\": 1", "line 7, column 8", 7);
  refused("", "f.json line 1, column 1");
  refused("{} {}", "line 1, column 4");
  refused("{\"a\": 1e999}", "not JSON: number overflow");
  refused("{\"a\": \"\\ud800\"}", "column 14");
  refused("{\"a\": \"caf\xE9\"}", "ill-formed UTF-8 byte");
}

TEST_CASE("json: values are what they are taken for") {
  const auto number = [](const char* text) { return json::parse(text); };
  CHECK(value_of<int64_t>(number("-9223372036854775808"), "n") == INT64_MIN);
  CHECK(value_of<uint64_t>(number("18446744073709551615"), "n") == UINT64_MAX);
  CHECK(value_of<int>(number("2147483647"), "n") == INT32_MAX);
  CHECK(value_of<double>(number("3"), "n") == 3.0);
  CHECK(value_of<float>(number("0.25"), "n") == 0.25f);
  CHECK(value_of<std::vector<int>>(number("[1, 2]"), "n") == std::vector<int>{1, 2});
  CHECK(value_of<std::array<float, 2>>(number("[1, 2.5]"), "n") == std::array<float, 2>{1, 2.5f});
  CHECK(value_of<bool>(number("true"), "n"));

  const json from_code = {{"positive", 5}, {"negative", -5}};  // signed, as C++ has them
  CHECK(value_of<uint64_t>(from_code["positive"], "n") == 5);
  CHECK(value_of<int>(from_code["negative"], "n") == -5);
  CHECK_THROWS_AS(value_of<uint64_t>(from_code["negative"], "n"), Error);

  const auto refused = [&]<typename T>(T, const char* text, const char* part) {
    CAPTURE(text);
    CHECK_THROWS_WITH_AS(value_of<T>(number(text), "train.n"), doctest::Contains(part), Error);
  };
  refused(uint64_t{}, "-1", "'train.n' must be a whole number from 0 to 18446744073709551615, not -1");
  refused(uint64_t{}, "18446744073709551616", "a whole number from 0 to");
  refused(int64_t{}, "9223372036854775808", "a whole number from -9223372036854775808 to");
  refused(int32_t{}, "2147483648", "to 2147483647, not 2147483648");
  for (const char* text : {"1.5", "2.0", "1e99", "true", "\"1\"", "null", "[1]"})
    refused(int64_t{}, text, "a whole number");
  for (const char* text : {"true", "\"0.5\"", "null"}) refused(double{}, text, "a number");
  refused(float{}, "1e39", "a number");
  refused(bool{}, "1", "true or false");
  refused(std::string{}, "1", "a text");
  refused(std::vector<int>{}, "[1, 2.5]", "a whole number");
  refused(std::array<float, 3>{}, "[1, 2]", "a list of 3");

  const json object = {{"n", 5}};
  CHECK(value_or(object, "n", 1) == 5);
  CHECK(value_or(object, "m", 1) == 1);
  CHECK_THROWS_WITH_AS(value_or(object, "n", false, ErrorKind::input, "a."), doctest::Contains("'a.n'"),
                       Error);
}

TEST_CASE("numbers in text are decimal and whole, or nothing") {
  using text::parse_number;
  CHECK(parse_number<uint64_t>("18446744073709551615") == UINT64_MAX);
  CHECK(parse_number<int>("010") == 10);
  CHECK(parse_number<int>("+3") == 3);
  CHECK(parse_number<int>("-3") == -3);
  CHECK(parse_number<double>("1e-3") == 1e-3);
  CHECK(parse_number<double>(".5") == 0.5);
  for (const char* bad : {"", " 1", "1 ", "0x10", "1.0", "1e3", "--1", "+-1", "+", "1,000", "\u0661"})
    CHECK_MESSAGE(!parse_number<int64_t>(bad), bad);
  CHECK_FALSE(parse_number<uint64_t>("-1"));
  CHECK_FALSE(parse_number<uint64_t>("18446744073709551616"));
  CHECK_FALSE(parse_number<int>("2147483648"));
  for (const char* bad : {"nan", "inf", "-inf", "0x1p3", "1e999", "0,5", "1f"})
    CHECK_MESSAGE(!parse_number<double>(bad), bad);
}
