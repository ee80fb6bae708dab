#include "tools/train/event_file.h"

#include <unistd.h>

#include <array>
#include <bit>
#include <chrono>

#include "core/error.h"

namespace dalle1::tools {
namespace fs = std::filesystem;
namespace {

constexpr std::array<uint32_t, 256> crc_table = [] {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit)
      crc = (crc >> 1) ^ (crc & 1 ? 0x82f63b78u : 0);  // Castagnoli, reflected
    table[byte] = crc;
  }
  return table;
}();

// As TFRecord stores it: a sum of data that holds sums would be weak, so that they are rotated and shifted.
uint32_t masked_crc(std::string_view bytes) {
  uint32_t crc = ~0u;
  for (const char c : bytes) crc = crc_table[(crc ^ static_cast<uint8_t>(c)) & 0xff] ^ (crc >> 8);
  return std::rotr(~crc, 15) + 0xa282ead8u;
}

template <typename T>
std::string little_endian(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

// Protocol buffers: a field is its number and wire type, then a varint, a fixed number or length and bytes.
std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}
std::string whole_field(int number, uint64_t value) {
  return varint(static_cast<uint64_t>(number) << 3) + varint(value);
}
std::string bytes_field(int number, std::string_view bytes) {
  return varint(static_cast<uint64_t>(number) << 3 | 2) + varint(bytes.size()) + std::string(bytes);
}
std::string double_field(int number, double value) {
  return varint(static_cast<uint64_t>(number) << 3 | 1) + little_endian(value);
}
std::string float_field(int number, float value) {
  return varint(static_cast<uint64_t>(number) << 3 | 5) + little_endian(value);
}

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// Event: wall_time 1, step 2, file_version 3, summary 5, session_log 7.
std::string event_at(int64_t step) {
  return double_field(1, now()) + whole_field(2, static_cast<uint64_t>(step));
}

}  // namespace

EventFile::EventFile(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  check(!error, ErrorKind::output, "{}: {}", folder.string(), error.message());
  path_ = folder / fmt::format("events.out.tfevents.{:010}.dalle1.{}", static_cast<int64_t>(now()), getpid());
  out_.open(path_, std::ios::binary | std::ios::app);
  record(double_field(1, now()) + bytes_field(3, "brain.Event:2"));
}

void EventFile::write(int64_t step, const nlohmann::json& row) {
  if (!started_) record(event_at(step) + bytes_field(7, whole_field(1, 1)));  // SessionLog: status 1 = START
  started_ = true;
  std::string summary;  // Summary: value 1; its tag 1 and simple_value 2
  for (const auto& [key, value] : row.items()) {
    if (key == "step" || !value.is_number()) continue;
    summary += bytes_field(1, bytes_field(1, key) + float_field(2, value.get<float>()));
  }
  record(event_at(step) + bytes_field(5, summary));
}

void EventFile::record(const std::string& event) {
  const std::string length = little_endian(static_cast<uint64_t>(event.size()));
  out_ << length << little_endian(masked_crc(length)) << event << little_endian(masked_crc(event));
  out_.flush();
  check(out_.good(), ErrorKind::output, "{}: cannot be written", path_.string());
}

}  // namespace dalle1::tools
