// Near misses are wrong by one word and right in their grammar; captions that could both be true are told.
#include <doctest/doctest.h>

#include <set>

#include "clip/word_classes.h"
#include "core/error.h"

namespace dalle1::test {
namespace {

using clip::ContentWords;
using clip::WordClasses;

WordClasses small_classes() {
  return WordClasses(nlohmann::json::parse(R"({
    "colour": ["red", "orange", "blue"],
    "background": ["light blue background", "white background"],
    "relation": ["above", "to the left of", "to the right of"],
    "hour": ["one o'clock", "two o'clock"],
    "count": ["two", "three"]})"));
}

std::set<std::string> near_misses(const WordClasses& classes, const std::string& caption) {
  std::set<std::string> all;
  for (uint32_t i = 0; i < 300; ++i) {
    RandomStream random(1, Stream::test, i);
    if (const auto miss = classes.near_miss(caption, random)) all.insert(miss->caption);
  }
  return all;
}

}  // namespace

TEST_CASE("near misses replace a word by each other one of its class, and mend the article") {
  CHECK(near_misses(small_classes(), "a red circle") ==
        std::set<std::string>{"an orange circle", "a blue circle"});
  CHECK(near_misses(small_classes(), "An orange ball.") ==
        std::set<std::string>{"a red ball.", "a blue ball."});
}

TEST_CASE("near misses swap two words of a class") {
  const auto found = near_misses(small_classes(), "a red cat above an orange dog");
  CHECK(found.count("an orange cat above a red dog") == 1);
  CHECK(found.count("a red cat to the left of an orange dog") == 1);
  CHECK(found.count("a red cat above an orange dog") == 0);
  // Two of one colour cannot be swapped.
  CHECK(near_misses(small_classes(), "a red cat and a red dog").count("a red cat and a red dog") == 0);
}

TEST_CASE("the longest phrase is taken, and a word inside of it is not") {
  CHECK(near_misses(small_classes(), "a clock showing two o'clock") ==
        std::set<std::string>{"a clock showing one o'clock"});
  CHECK(near_misses(small_classes(), "two cats on a light blue background") ==
        std::set<std::string>{"three cats on a light blue background", "two cats on a white background"});
}

TEST_CASE("a caption without a word of any class has no near miss") {
  CHECK(near_misses(small_classes(), "a green cat").empty());
  CHECK(near_misses(WordClasses(), "a red cat").empty());
}

TEST_CASE("choices hold the right caption first and one for each other member") {
  const auto choices = small_classes().choices("a red cat above a blue dog");
  REQUIRE(choices.size() == 2);
  CHECK(choices[0].what == "colour");
  CHECK(choices[0].captions == std::vector<std::string>{"a red cat above a blue dog",
                                                        "an orange cat above a blue dog",
                                                        "a blue cat above a blue dog"});
  CHECK(choices[1].what == "relation");
}

TEST_CASE("every sort of near miss comes once") {
  RandomStream random(1, Stream::test);
  std::set<std::string> sorts;
  for (const auto& miss : small_classes().every_near_miss("a red cat above a blue dog", random))
    CHECK(sorts.insert(miss.what).second);
  CHECK(sorts == std::set<std::string>{"colour", "swapped colour", "relation"});
}

TEST_CASE("combinations are all runs of three members, in their order") {
  CHECK(small_classes().combinations("A red cat above two cats and a blue dog.") ==
        std::vector<std::string>{"red, above, two, ", "above, two, blue, "});
  CHECK(small_classes().combinations("a red tree") == std::vector<std::string>{"red, "});
  CHECK(small_classes().combinations("a tree") == std::vector<std::string>{""});
}

TEST_CASE("captions of one kind have words of the same classes") {
  const auto classes = small_classes();
  CHECK(classes.kind_of("a red cat above a blue dog") ==
        classes.kind_of("an orange ball to the left of a pig"));
  CHECK(classes.kind_of("a red cat") != classes.kind_of("two red cats"));
}

TEST_CASE("captions agree when the words of one are among those of the other") {
  const std::vector<std::string> ignored{"a", "an", "picture", "of", "and"};
  const ContentWords circle("a red circle", ignored), picture("a picture of a red circle.", ignored),
      more("a red circle and a blue square", ignored), other("a blue circle", ignored);
  CHECK(circle.agrees_with(picture));
  CHECK(picture.agrees_with(more));
  CHECK(more.agrees_with(circle));
  CHECK_FALSE(circle.agrees_with(other));
}

TEST_CASE("word classes that cannot be used are refused by name") {
  CHECK_THROWS_WITH_AS(WordClasses(nlohmann::json::parse(R"({"colour": ["red"]})")),
                       "'train.word_classes.colour' must be a list of two words or more", Error);
  CHECK_THROWS_WITH_AS(
      WordClasses(nlohmann::json::parse(R"({"a": ["red", "blue"], "b": ["Blue", "green"]})")),
      "'train.word_classes': 'blue' comes twice", Error);
}

}  // namespace dalle1::test
