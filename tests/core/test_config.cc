// Structs that list their fields: what is read, refused, checked and written.
#include <doctest/doctest.h>

#include <array>

#include "core/config/fields.h"

namespace dalle1::test {
namespace {

using nlohmann::json;

enum class Animal { cat, fox };

struct Hat {
  std::string colour = "red";
  int size = 7;

  static void visit(auto& self, auto& field) {
    field("colour", self.colour, config::one_of({"red", "green", "blue"}));
    field("size", self.size, config::within(1, 9));
  }
};

struct Sketch {
  int64_t layers = 2;
  int64_t width = 4;
  float share = 0.5f;
  bool shaded = false;
  Animal animal = Animal::cat;
  std::vector<int64_t> stages = {3};
  std::array<float, 2> mean = {0.5f, 0.25f};
  std::vector<std::string> names;
  int64_t patch = 8;
  Hat hat;

  static void visit(auto& self, auto& field) {
    field("kind", config::Constant{"sketch"});
    field("layers", self.layers, config::within(1, 64));
    field("width", self.width, config::at_least(1), 2 * self.layers);
    field("share", self.share, config::below_one());
    field("shaded", self.shaded);
    field("animal", self.animal, config::one_of({"cat", "fox"}));
    field("stages", self.stages, {.range = {1, 9}, .one_or_list = true});
    field("mean", self.mean);
    field("names", self.names, {.omit_empty = true});
    field("patch", self.patch, {.range = {1, 64}, .null_when = self.shaded});
    field("hat", self.hat);
    field("old_name", config::Constant{});
  }
};

struct Needed {
  int seed = 0;

  static void visit(auto& self, auto& field) { field("seed", self.seed, config::required()); }
};

Sketch sketch(const char* text, const config::Names& others = {}) {
  Sketch read;
  config::read(json::parse(text), read, {ErrorKind::model}, others);
  return read;
}

void refused(const char* text, const char* message) {
  CAPTURE(text);
  CHECK_THROWS_WITH_AS(sketch(text), message, Error);
}

}  // namespace

TEST_CASE("configuration: fields are read, and absent ones keep what they were or follow from others") {
  const Sketch read = sketch(R"({"kind": "anything", "layers": 3, "share": 0.25, "animal": "fox",
                                 "stages": [1, 2], "mean": [0, 1], "names": ["a"], "hat": {"size": 1},
                                 "old_name": 4})");
  CHECK(read.layers == 3);
  CHECK(read.width == 6);
  CHECK(read.share == 0.25f);
  CHECK(read.animal == Animal::fox);
  CHECK(read.stages == std::vector<int64_t>{1, 2});
  CHECK(read.mean == std::array<float, 2>{0.0f, 1.0f});
  CHECK(read.names == std::vector<std::string>{"a"});
  CHECK(read.hat.size == 1);
  CHECK(read.hat.colour == "red");
  CHECK(sketch("{}").stages == std::vector<int64_t>{3});
  CHECK(sketch(R"({"stages": 5})").stages == std::vector<int64_t>{5});
  CHECK(sketch(R"({"patch": null})").patch == 0);
  CHECK(sketch(R"({"width": 5})").width == 5);
}

TEST_CASE("configuration: unknown fields are named, with the field that was meant") {
  refused(R"({"layrs": 3})", "unknown field 'layrs'; did you mean 'layers'?");
  refused(R"({"something": 3})", "unknown field 'something'");
  refused(R"({"hat": {"colur": "red"}})", "unknown field 'hat.colur'; did you mean 'colour'?");
  CHECK(sketch(R"({"something": 3})", {"something"}).layers == 2);  // another reader's
  Sketch read;
  config::read_known(json{{"layers", 5}, {"something", 1}}, read);
  CHECK(read.layers == 5);
}

TEST_CASE("configuration: mistyped fields and values that break a rule are named with what they must be") {
  refused("3", "not a JSON object");
  refused(R"({"layers": "3"})", "'layers' must be a whole number from 1 to 64, not \"3\"");
  refused(R"({"layers": 3.5})", "'layers' must be a whole number from 1 to 64, not 3.5");
  refused(R"({"layers": 65})", "'layers' must be a whole number from 1 to 64, not 65");
  refused(R"({"width": 0})", "'width' must be a whole number from 1 to 9223372036854775807, not 0");
  refused(R"({"share": 1})", "'share' must be a number of at least 0 and below 1, not 1");
  refused(R"({"shaded": 1})", "'shaded' must be true or false, not 1");
  refused(R"({"animal": "dog"})", "'animal' is 'dog'; it must be cat or fox");
  refused(R"({"animal": 1})", "'animal' must be a text, not 1");
  refused(R"({"stages": [1, 10]})", "'stages[1]' must be a whole number from 1 to 9, not 10");
  refused(R"({"stages": "1"})", "'stages[0]' must be a whole number from 1 to 9, not \"1\"");
  refused(R"({"mean": [1]})", "'mean' must be a list of 2, not [1]");
  refused(R"({"names": "a"})", "'names' must be a list, not \"a\"");
  refused(R"({"hat": 3})", "'hat' must be an object, not 3");
  refused(R"({"hat": {"size": 0}})", "'hat.size' must be a whole number from 1 to 9, not 0");
  refused(R"({"hat": {"colour": "pink"}})", "'hat.colour' is 'pink'; it must be red, green or blue");
  refused(R"({"layers": null})", "'layers' must be a whole number from 1 to 64, not null");
}

TEST_CASE("configuration: errors have the kind and the path of their place, and a required field is missed") {
  Needed needed;
  const auto kind_of = [&](ErrorKind kind) {
    try {
      config::named("file", [&] { config::read(json::object(), needed, {kind, "train"}); });
    } catch (const Error& error) {
      CHECK(std::string(error.what()) == "file: 'train' has no 'seed'");
      return error.kind();
    }
    return ErrorKind::internal;
  };
  CHECK(kind_of(ErrorKind::input) == ErrorKind::input);
  CHECK(kind_of(ErrorKind::model) == ErrorKind::model);
}

TEST_CASE("configuration: values from code are checked by the same rules") {
  Sketch values;
  config::check_values(values, {ErrorKind::model});
  const auto wrong = [](auto change, const char* message) {
    Sketch changed;
    change(changed);
    CHECK_THROWS_WITH_AS(config::check_values(changed, {ErrorKind::model}), message, Error);
  };
  wrong([](Sketch& s) { s.layers = 0; }, "'layers' must be a whole number from 1 to 64, not 0");
  wrong([](Sketch& s) { s.share = 1; }, "'share' must be a number of at least 0 and below 1, not 1.0");
  wrong([](Sketch& s) { s.stages = {1, 0}; }, "'stages[1]' must be a whole number from 1 to 9, not 0");
  wrong([](Sketch& s) { s.hat.colour = "x"; }, "'hat.colour' is 'x'; it must be red, green or blue");
}

TEST_CASE("configuration: what is written is read again, in the order of the fields") {
  Sketch values;
  values.share = 0.1f;
  values.animal = Animal::fox;
  const auto text = [&](config::Floats floats) {
    return config::write<nlohmann::ordered_json>(values, floats).dump();
  };
  CHECK(text(config::Floats::shortest) ==
        R"({"kind":"sketch","layers":2,"width":4,"share":0.1,"shaded":false,"animal":"fox","stages":3,)"
        R"("mean":[0.5,0.25],"patch":8,"hat":{"colour":"red","size":7}})");
  CHECK(text(config::Floats::exact).find(R"("share":0.10000000149011612)") != std::string::npos);
  values.shaded = true;
  values.stages = {1, 2};
  values.names = {"a", "b"};
  values.hat = {"blue", 3};
  const auto written = config::write<json>(values);
  CHECK(written["patch"].is_null());
  const Sketch again = sketch(written.dump().c_str());
  CHECK(again.patch == 0);
  CHECK(again.share == values.share);
  CHECK(config::write<json>(again) == written);
  CHECK(config::field_names<Hat>() == config::Names{"colour", "size"});
}

TEST_CASE("an error spells its options as a program's users give them, also inside another error") {
  const Error inner(ErrorKind::usage, fmt::format("{} 3: use {}", OptionName{"top_k"}, OptionName{"out"}));
  CHECK(std::string(inner.what()) == "top_k 3: use out");
  const Error outer(ErrorKind::usage, fmt::format("prompt 2: {}", inner));
  CHECK(std::string(outer.what()) == "prompt 2: top_k 3: use out");
  CHECK(outer.spelled([](std::string_view name) { return fmt::format("<{}>", name); }) ==
        "prompt 2: <top_k> 3: use <out>");
  const Error stray(ErrorKind::usage, "bytes \x0e of a file");
  CHECK(std::string(stray.what()) == "bytes \x0e of a file");
}

}  // namespace dalle1::test
