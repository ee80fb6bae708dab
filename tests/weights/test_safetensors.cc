#include <doctest/doctest.h>

#include <fstream>

#include "tests/support/golden.h"
#include "weights/safetensors.h"

using namespace dalle1;
using namespace dalle1::weights;
using namespace std::string_literals;

namespace {

std::string with_length(uint64_t length, const std::string& rest) {
  return std::string(reinterpret_cast<const char*>(&length), 8) + rest;
}

std::string file_with(const std::string& header, const std::string& data = "") {
  return with_length(header.size(), header + data);
}

SafetensorsFile read(const std::string& content) { return read_safetensors(bytes_in_memory("f", content)); }

/// The message of the refusal; the kind must be `model` and the message one line.
std::string refusal(const std::string& content) {
  try {
    read(content);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::model);
    CHECK(std::string(error.what()).find('\n') == std::string::npos);
    return error.what();
  }
  return "accepted";
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets +
         "}";
}

bool has(const std::string& text, const std::string& part) {
  CAPTURE(text);
  return text.find(part) != std::string::npos;
}

const std::string two_by_two = "{" + entry("test", "I32", "[2,2]", "[0,16]") + "}";

}  // namespace

TEST_CASE("safetensors: valid files") {
  CHECK(read(file_with("{}      ")).tensors.empty());
  CHECK(read(file_with("{}\r \t\n")).tensors.empty());
  CHECK(read(file_with("\t\n{}\r ")).tensors.empty());
  CHECK(read(file_with(R"({"__metadata__":{"framework":"pt"}})")).metadata.at("framework") == "pt");

  auto scalar = read(file_with("{" + entry("test", "I32", "[]", "[0,4]") + "}", "\1\0\0\0"s)).tensors;
  REQUIRE(scalar.size() == 1);
  CHECK(scalar[0].shape.empty());
  CHECK(scalar[0].numel() == 1);
  CHECK(scalar[0].dtype == DType::i32);
  CHECK(scalar[0].bytes[0] == std::byte{1});

  auto empty = read(file_with("{" + entry("test", "I32", "[2,0]", "[0, 0]") + "}")).tensors;
  REQUIRE(empty.size() == 1);
  CHECK(empty[0].shape == std::vector<int64_t>{2, 0});
  CHECK(empty[0].bytes.empty());
}

TEST_CASE("safetensors: the malformed files of the format's own test list") {
  const std::string data(16, '\0');
  CHECK(has(refusal(""), "needs 8 bytes at byte 0"));
  CHECK(has(refusal(with_length(60, "")), "needs 60 bytes at byte 8"));
  CHECK(has(refusal(with_length(0xffffff000000003c, two_by_two + data)), "header length at byte 0"));
  CHECK(has(refusal(with_length(100'000'001, two_by_two + data)), "header length at byte 0"));
  CHECK(has(refusal(with_length(1, "\xff")), "not JSON at byte 8"));
  CHECK(has(refusal(with_length(1, "{")), "not JSON at byte 8"));
  CHECK(has(refusal(file_with(two_by_two, data + "extra_bogus_data_for_polyglot_file")),
            "34 bytes that belong to no"));
  CHECK(has(refusal(file_with(two_by_two, data.substr(2))), "lies at bytes 0 to 16 of 14"));
  CHECK(has(refusal(file_with("{" + entry("test", "I32", "[2,2]", "[0, 4]") + "}", data.substr(12))),
            "16 bytes"));
  CHECK(has(refusal(file_with("{" + entry("t", "I32", "[2,18446744073709551614]", "[0,16]") + "}", data)),
            "overflows"));
  CHECK(has(refusal(file_with("{" + entry("t", "I32", "[2,9223372036854775807]", "[0,16]") + "}", data)),
            "overflows"));
  std::string same_place;
  for (int i = 0; i < 10; ++i)
    same_place += (i ? "," : "{") + entry("weight_" + std::to_string(i), "F32", "[2,2]", "[0,16]");
  CHECK(has(refusal(file_with(same_place + "}", data)), "an overlap before tensor"));
}

TEST_CASE("safetensors: other malformed headers name the byte") {
  const std::string data(16, '\0');
  auto header = [&](const std::string& text) { return refusal(file_with(text, data)); };
  CHECK(has(header("{" + entry("a", "I32", "[1]", "[0,4]") + "," + entry("b", "I32", "[2]", "[8,16]") + "}"),
            "a hole before tensor 'b'"));
  CHECK(
      has(header("{" + entry("a", "I32", "[4]", "[0,16]") + "," + entry("a", "I32", "[0]", "[16,16]") + "}"),
          "duplicate key 'a'"));
  CHECK(has(header(R"({"__metadata__":{"a":"1"},"__metadata__":{}})"), "'__metadata__' is a duplicate key"));
  CHECK(has(header("{" + entry("a", "I32", "[4]", "[16,0]") + "}"), "lies at bytes 16 to 0"));
  CHECK(has(header("{" + entry("a", "I32", "[-4]", "[0,16]") + "}"), "number -4 at byte"));
  CHECK(has(header("{" + entry("a", "I32", "[4.0]", "[0,16]") + "}"), "number 4.0 at byte"));
  CHECK(has(header("{" + entry("a", "I32", "[99999999999999999999]", "[0,16]") + "}"), "at byte"));
  CHECK(has(header("{" + entry("a", "F8_E4M3", "[16]", "[0,16]") + "}"), "element type"));
  CHECK(
      has(header("{" + entry("a", "I32", "[1,1,1,1,1,1,1,1,4]", "[0,16]") + "}"), "more than 8 dimensions"));
  CHECK(has(header("{" + entry("a", "I32", "[[4]]", "[0,16]") + "}"), "an array at byte"));
  CHECK(has(header("{" + entry("a", "I32", "[4]", "[0,16,16]") + "}"), "more than two data_offsets"));
  CHECK(has(header("{" + entry("a", "I32", "[4]", "[0]") + "}"), "lacks one of"));
  CHECK(has(header(R"({"a":{"dtype":"I32","shape":[4]}})"), "lacks one of"));
  CHECK(has(header(R"({"a":{"dtype":"I32","dtype":"I32","shape":[4],"data_offsets":[0,16]}})"),
            "duplicate field"));
  CHECK(has(header(R"({"a":{"kind":"I32"}})"), "unknown field"));
  CHECK(has(header(R"({"a":{"dtype":{}}})"), "an object at byte"));
  CHECK(has(header(R"({"a":4})"), "number 4 at byte"));
  CHECK(has(header(R"({"a":null})"), "null at byte"));
  CHECK(has(header(R"([4])"), "an array at byte 8"));
  CHECK(has(header(R"({"__metadata__":{"a":"1","a":"2"}})"), "duplicate key"));
  CHECK(has(header(R"({"__metadata__":{"a":1}})"), "number 1 at byte"));
  CHECK(has(header(R"({"__metadata__":{"a":{}}})"), "an object at byte"));
  CHECK(has(header("{\"" + std::string(2000, 'a') + "\":"), "too long"));
  CHECK(has(header("{\"" + std::string(2 << 20, ',')), "at byte 9 of the header is too long"));
  CHECK(has(header(std::string(200000, '[')), "an array at byte 8"));
  CHECK(has(header("{\"a\":\"\x01\"}"), "not JSON at byte"));
}

TEST_CASE("safetensors: a file cut short at every byte is refused") {
  const std::string whole =
      file_with("{" + entry("a", "I32", "[2]", "[0,8]") + "," + entry("b", "F16", "[3]", "[8,14]") +
                    ",\"__metadata__\":{\"k\":\"v\"}}",
                std::string(14, 'x'));
  CHECK(read(whole).tensors.size() == 2);
  for (size_t size = 0; size < whole.size(); ++size) CHECK(has(refusal(whole.substr(0, size)), "byte"));
}

TEST_CASE("safetensors: what is written reads back, aligned, with every bit") {
  test::ScratchDir scratch;
  const std::vector<TensorSpec> specs = {{"half", DType::f16, {3}},        {"table", DType::f32, {2, 2}},
                                         {"none", DType::f32, {0, 5}},     {"ids", DType::i64, {2}},
                                         {"packed \"q\"", DType::i8, {5}}, {"scalar", DType::f32, {}}};
  auto bytes_for = [](const TensorSpec& spec) {
    std::vector<std::byte> bytes(checked_numel(spec.shape) * size_of(spec.dtype));
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(37 * i + spec.name.size());
    return bytes;
  };
  SafetensorsWriter writer(scratch / "t.safetensors", specs, {{"key", "value"}});
  for (const TensorSpec& spec : writer.specs()) writer.append(bytes_for(spec));
  uint64_t size = writer.commit();

  FileBytes file = map_file(scratch / "t.safetensors");
  CHECK(file.size() == size);
  CHECK(std::distance(std::filesystem::directory_iterator(scratch.path()), {}) == 1);
  SafetensorsFile read_back = read_safetensors(file);
  CHECK(read_back.metadata.at("key") == "value");
  TensorIndex index(read_back.tensors);
  for (const TensorSpec& spec : specs) {
    const RawTensor* tensor = index.find(spec.name);
    REQUIRE(tensor);
    CHECK(tensor->dtype == spec.dtype);
    CHECK(tensor->shape == spec.shape);
    auto expected = bytes_for(spec);
    CHECK(std::equal(expected.begin(), expected.end(), tensor->bytes.begin(), tensor->bytes.end()));
    CHECK((tensor->bytes.data() - file.bytes.data()) % size_of(spec.dtype) == 0);
  }
}

TEST_CASE("safetensors: an unfinished file never appears") {
  test::ScratchDir scratch;
  {
    SafetensorsWriter writer(scratch / "t.safetensors", {{"a", DType::f32, {1}}});
    CHECK_THROWS_AS(writer.commit(), Error);
  }
  CHECK(std::filesystem::is_empty(scratch.path()));
  CHECK_THROWS_AS(SafetensorsWriter(scratch / "no/t.safetensors", {}), Error);
}

TEST_CASE("safetensors: sharded files") {
  test::ScratchDir scratch;
  for (const char* name : {"a", "b"}) {
    SafetensorsWriter writer(scratch / (name + ".safetensors"s), {{name, DType::u8, {3}}});
    writer.append(std::as_bytes(std::span(name[0] == 'a' ? "aaa" : "bbb", 3)));
    writer.commit();
  }
  auto read_index = [&](const std::string& text) -> std::string {
    write_file_atomically(scratch / "i.json", text);
    try {
      auto file = read_safetensors_index(scratch / "i.json");
      return std::to_string(file.tensors.size());
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::model);
      return error.what();
    }
  };
  CHECK(read_index(R"({"weight_map":{"a":"a.safetensors","b":"b.safetensors"}})") == "2");
  CHECK(has(read_index(R"({"weight_map":{"a":"a.safetensors","c":"b.safetensors"}})"),
            "'b' is in b.safetensors"));
  CHECK(has(read_index(R"({"weight_map":{"a":"a.safetensors","c":"a.safetensors"}})"), "'c' is not in"));
  CHECK(has(read_index(R"({"weight_map":{"a":"../a.safetensors"}})"), "not a plain file name"));
  CHECK(has(read_index(R"({"weight_map":{"a":"missing.safetensors"}})"), "cannot be opened"));
  CHECK(has(read_index(R"({"weight_map":[]})"), "weight_map"));
  CHECK(has(read_index(std::string(100000, '[')), "nested deeper"));
}
