// Random numbers and the order of samples as numbers in a file: the trainer in tests/reference, which has a
// second implementation of both, is tested with the same file.
#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "core/data/sample_order.h"
#include "tests/support/golden.h"

using namespace dalle1;

namespace {

nlohmann::json golden_numbers() {
  std::ifstream in(test::golden("training/numbers.json"));
  return nlohmann::json::parse(in);
}

RandomStream stream_of(const nlohmann::json& record, Stream stream) {
  return {record["seed"], stream, record["index"], record.value("position", 0u)};
}

}  // namespace

TEST_CASE("order: the numbers of the golden file") {
  const auto numbers = golden_numbers();
  for (const auto& record : numbers["order"]) {
    const SampleOrder order(record["size"], record["seed"]);
    std::vector<uint64_t> found;
    for (uint64_t position : record["positions"]) found.push_back(order.index(position));
    CHECK(found == record["indices"].get<std::vector<uint64_t>>());
  }
}

TEST_CASE("philox: uniform and normal draws of the golden file") {
  const auto numbers = golden_numbers();
  for (const auto& record : numbers["uniforms"]) {
    auto draws = stream_of(record, Stream{record["stream"].get<uint32_t>()});
    for (float value : record["values"]) CHECK(draws.uniform() == value);
  }
  for (const auto& record : numbers["normals"]) {
    auto draws = stream_of(record, Stream::initialisation);
    for (float value : record["values"]) CHECK(draws.normal() == doctest::Approx(value).epsilon(1e-5));
  }
}
