// Event files for TensorBoard, parsed back with a reader of our own.
#include <doctest/doctest.h>

#include <cstring>

#include "core/error.h"
#include "tests/support/golden.h"
#include "tests/tools/run_files.h"
#include "tools/train/event_file.h"

using namespace dalle1;
using test::ScratchDir;

namespace {

template <typename T>
T number_at(std::string_view bytes, size_t at) {
  REQUIRE(at + sizeof(T) <= bytes.size());
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

// CRC-32C bit by bit, masked as TFRecord has it.
uint32_t masked(std::string_view bytes) {
  uint32_t crc = 0xffffffffu;
  for (const char c : bytes) {
    crc ^= static_cast<uint8_t>(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (0x82f63b78u & (0u - (crc & 1)));
  }
  crc = ~crc;
  return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

std::vector<std::string> records_of(const std::string& file) {
  std::vector<std::string> records;
  for (size_t at = 0; at < file.size();) {
    const auto size = number_at<uint64_t>(file, at);
    REQUIRE(number_at<uint32_t>(file, at + 8) == masked(file.substr(at, 8)));
    REQUIRE(at + 16 + size <= file.size());
    records.push_back(file.substr(at + 12, size));
    REQUIRE(number_at<uint32_t>(file, at + 12 + size) == masked(records.back()));
    at += 16 + size;
  }
  return records;
}

// The fields of a protocol buffer message: number, and the bytes or the number as text.
std::vector<std::pair<int, std::string>> fields_of(std::string_view message) {
  std::vector<std::pair<int, std::string>> fields;
  size_t at = 0;
  const auto varint = [&] {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = number_at<uint8_t>(message, at++);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < message.size()) {
    const uint64_t tag = varint();
    const auto wire = tag & 7;
    std::string value;
    if (wire == 0) {
      value = std::to_string(varint());
    } else {
      REQUIRE((wire == 1 || wire == 2 || wire == 5));
      const size_t size = wire == 1 ? 8 : wire == 5 ? 4 : varint();
      value = message.substr(at, size);
      at += size;
    }
    fields.emplace_back(static_cast<int>(tag >> 3), value);
  }
  return fields;
}

}  // namespace

TEST_CASE("event files hold every number of a row under its step, after what TensorBoard wants first") {
  ScratchDir scratch;
  std::filesystem::path path;
  {
    tools::EventFile events(scratch / "tensorboard");
    events.write(300, {{"step", 299}, {"loss", 0.5}, {"rate", 1e-3}, {"warning", "text"}});
    events.write(301, {{"step", 300}, {"loss", -2}});
    path = events.path();
  }
  CHECK(path.filename().string().rfind("events.out.tfevents.", 0) == 0);
  const std::string file = test::content_of(path);
  // The length of the first record and its sum are the same in every event file that TensorFlow writes.
  CHECK(file.substr(0, 13) == std::string("\x18\0\0\0\0\0\0\0\xa3\x7f\x4b\x22\x09", 13));
  const auto records = records_of(file);
  REQUIRE(records.size() == 4);
  const auto version = fields_of(records[0]);
  CHECK(version[0].first == 1);
  CHECK(number_at<double>(version[0].second, 0) > 1.6e9);
  CHECK(version[1] == std::pair<int, std::string>(3, "brain.Event:2"));
  const auto start = fields_of(records[1]);
  CHECK(start[1] == std::pair<int, std::string>(2, "300"));
  CHECK(fields_of(start[2].second) == std::vector<std::pair<int, std::string>>{{1, "1"}});

  const auto row = fields_of(records[2]);
  CHECK(row[1] == std::pair<int, std::string>(2, "300"));
  CHECK(row[2].first == 5);
  const auto values = fields_of(row[2].second);
  REQUIRE(values.size() == 2);
  const auto loss = fields_of(values[0].second), rate = fields_of(values[1].second);
  CHECK(loss[0] == std::pair<int, std::string>(1, "loss"));
  CHECK(number_at<float>(loss[1].second, 0) == 0.5f);
  CHECK(rate[0].second == "rate");
  CHECK(number_at<float>(rate[1].second, 0) == 1e-3f);
  CHECK(fields_of(records[3])[1].second == "301");
  CHECK_THROWS_AS(tools::EventFile("/dev/null/folder"), Error);
}
