#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/train/schedule.h"

namespace dalle1::test {
namespace {

Schedule read(const char* text) {
  Schedule schedule;
  read_field(nlohmann::json::parse(text), schedule, {ErrorKind::input, "train.rate"});
  return schedule;
}

}  // namespace

TEST_CASE("schedule: a number is constant") {
  const Schedule schedule = read("0.25");
  CHECK(schedule.at(0) == 0.25);
  CHECK(schedule.at(1000) == 0.25);
}

TEST_CASE("schedule: the warm-up rises in equal steps to the first value") {
  const Schedule schedule = read(R"({"first": 2, "warmup": 4})");
  CHECK(schedule.at(0) == 0.5);
  CHECK(schedule.at(3) == 2.0);
  CHECK(schedule.at(4) == 2.0);
}

TEST_CASE("schedule: a line and half a cosine between two steps, flat outside them") {
  const Schedule line = read(R"({"kind": "linear", "first": 1, "last": 3, "begin": 10, "end": 20})");
  CHECK(line.at(9) == 1.0);
  CHECK(line.at(15) == doctest::Approx(2.0));
  CHECK(line.at(25) == 3.0);
  const Schedule cosine = read(R"({"kind": "cosine", "first": 1, "last": 0, "end": 90})");
  CHECK(cosine.at(0) == 1.0);
  CHECK(cosine.at(30) == doctest::Approx(0.75));  // (1 + cos 60 degrees) / 2
  CHECK(cosine.at(90) == doctest::Approx(0.0));
}

TEST_CASE("schedule: errors name the field") {
  CHECK_THROWS_WITH_AS(read(R"("fast")"), doctest::Contains("'train.rate' must be a number"), Error);
  CHECK_THROWS_WITH_AS(read(R"({"first": 1, "warm_up": 5})"), doctest::Contains("'train.rate.warm_up'"),
                       Error);
  CHECK_THROWS_WITH_AS(read(R"({"first": 1, "kind": "step"})"), doctest::Contains("'step'"), Error);
  CHECK_THROWS_WITH_AS(read(R"({"last": 1})"), "'train.rate' has no 'first'", Error);
}

}  // namespace dalle1::test
