#include "tests/weights/files.h"
#include "weights/state_file.h"

using namespace dalle1;
using namespace dalle1::test;
using namespace dalle1::weights;
using namespace std::string_literals;

namespace {

StateFile read(const std::string& content) { return read_state_file(bytes_in_memory("f", content)); }
std::string refusal(const std::string& content) {
  return refusal_of([&] { read(content); });
}

/// A zip whose one tensor "t" views four floats.
std::string viewing(int32_t offset, const std::vector<int32_t>& shape, const std::vector<int32_t>& strides,
                    const std::string& type = "FloatStorage", int32_t numel = 4) {
  return torch_zip(dict_pickle({{"t", tensor(storage(type, "0", numel), offset, shape, strides)}}),
                   {{"0", le(0.f) + le(1.f) + le(2.f) + le(3.f)}});
}

std::vector<float> floats(const RawTensor& tensor) {
  std::vector<float> values(tensor.bytes.size() / 4);
  if (!values.empty()) std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

const std::string legacy_head = "\x80\2\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."s +
                                "\x80\2M\xe9\3." + "\x80\2}" + text("little_endian") + "\x88s.";

std::string legacy_storage(const std::string& type, const std::string& key, int32_t numel) {
  return "(" + text("storage") + global("torch", type) + text(key) + text("cpu") + whole(numel) + "NtQ";
}

std::string legacy_file(int32_t numel, int64_t written, const std::string& data) {
  return legacy_head + dict_pickle({{"t", tensor(legacy_storage("FloatStorage", "k", numel), 0, {2}, {1})}}) +
         "\x80\2](" + text("k") + "e." + le(written) + data;
}

}  // namespace

TEST_CASE("torch zip: views of a storage") {
  CHECK(floats(read(viewing(0, {2, 2}, {2, 1})).tensors[0]) == std::vector<float>{0, 1, 2, 3});
  CHECK(floats(read(viewing(0, {2, 2}, {1, 2})).tensors[0]) ==
        std::vector<float>{0, 2, 1, 3});  // transposed: copied
  CHECK(floats(read(viewing(1, {2}, {2})).tensors[0]) == std::vector<float>{1, 3});
  CHECK(floats(read(viewing(3, {}, {})).tensors[0]) == std::vector<float>{3});
  CHECK(floats(read(viewing(4, {0, 3}, {3, 1})).tensors[0]).empty());
  CHECK(floats(read(viewing(0, {1, 4}, {77, 1})).tensors[0]) == std::vector<float>{0, 1, 2, 3});
}

TEST_CASE("torch zip: a tensor must lie inside its storage, a storage inside its member") {
  CHECK(has(refusal(viewing(1, {4}, {1})), "lies outside its storage"));
  CHECK(has(refusal(viewing(5, {0}, {1})), "lies outside its storage"));
  CHECK(has(refusal(viewing(0, {2, 2}, {3, 1})), "lies outside its storage"));
  CHECK(has(refusal(viewing(0, {2000000000}, {0})), "lies outside its storage"));  // one element, expanded
  CHECK(has(refusal(viewing(0, {2147483647, 2147483647, 2147483647}, {0, 0, 0})), "overflows"));
  CHECK(has(refusal(viewing(-1, {1}, {1})), "disagree"));
  CHECK(has(refusal(viewing(0, {-1}, {1})), "bad extent"));
  CHECK(has(refusal(viewing(3, {2}, {-1})), "bad extent or stride"));
  CHECK(has(refusal(viewing(0, {2}, {1, 1})), "disagree"));
  CHECK(has(refusal(viewing(0, {1, 1, 1, 1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 1, 1, 1, 1})), "8 dimensions"));
  CHECK(has(refusal(viewing(0, {2}, {1}, "FloatStorage", 5)), "has 16 bytes; its tensors need 20"));
  CHECK(has(refusal(viewing(0, {2}, {1}, "FloatStorage", 3)), "has 16 bytes; its tensors need 12"));
  CHECK(has(refusal(viewing(0, {2}, {1}, "FloatStorage", -1)), "has -1 elements"));
  CHECK(has(refusal(viewing(0, {2}, {1}, "QInt8Storage")), "unknown type"));
  CHECK(
      has(refusal(torch_zip(dict_pickle({{"t", tensor(storage("FloatStorage", "7", 4), 0, {2}, {1})}}), {})),
          "no zip member"));
}

TEST_CASE("torch zip: hostile graphs") {
  // A dict that holds itself.
  CHECK(has(refusal(torch_zip("\x80\2}q\0"s + text("a") + "h\0s."s, {})), "nested deeper"));
  // Each of 40 dicts holds the next one twice: 2^40 paths.
  std::string bomb = "\x80\2}q\0"s;
  for (char level = 1; level <= 40; ++level)
    bomb += "}q"s + level + "(" + text("a") + "h" + std::string(1, static_cast<char>(level - 1)) + text("b") +
            "h" + std::string(1, static_cast<char>(level - 1)) + "u";
  CHECK(has(refusal(torch_zip("\x80\2(" + bomb.substr(2) + "1h\x28.", {})), "more than 1000000"));
  // Names that grow with depth.
  std::string deep = "\x80\2";
  for (int i = 0; i < 60; ++i) deep += "}" + text(std::string(100, 'n'));
  CHECK(has(refusal(torch_zip(deep + "N" + std::string(60, 's') + ".", {})), "too long"));
  // The same storage transposed again and again may not be copied beyond the file's size.
  std::vector<std::pair<std::string, std::string>> entries;
  const std::string shared = storage("FloatStorage", "0", 10000);
  for (int i = 0; i < 40; ++i)
    entries.push_back({"t" + std::to_string(i), tensor(shared, 0, {100, 100}, {1, 100})});
  CHECK(has(refusal(torch_zip(dict_pickle(entries), {{"0", std::string(40000, 'x')}})), "cannot be copied"));
  CHECK(has(refusal(torch_zip(dict_pickle({{"a", "K\1"}}), {})), "no tensors"));
  CHECK(has(refusal(torch_zip(dict_pickle({{"a", tensor(storage("FloatStorage", "0", 1), 0, {1}, {1})},
                                           {"a", tensor(storage("FloatStorage", "0", 1), 0, {1}, {1})}}),
                              {{"0", "1234"}})),
            "two tensors are called 'a'"));
  CHECK(has(refusal(torch_zip(global("os", "system") + text("x") + "\x85R.", {})),
            "no tensors in it; it is a pickled 'os.system'"));
}

TEST_CASE("torch zip: the model beside what else a training program keeps") {
  const std::string one = tensor(storage("FloatStorage", "0", 1), 0, {1}, {1});
  for (const char* key : {"state_dict", "model_state_dict", "model", "module", "weights"}) {
    CAPTURE(key);
    const std::string pickle = "\x80\2}(" + text("epoch") + "K\3" + text("optimizer") + "}" +
                               text("exp_avg") + one + "s" + text(key) + "}" + text("a.weight") + one + "su.";
    const StateFile file = read(torch_zip(pickle, {{"0", "1234"}}));
    REQUIRE(file.tensors.size() == 1);
    CHECK(file.tensors[0].name == "a.weight");
    CHECK(file.settings ==
          std::map<std::string, nlohmann::json>{{"epoch", 3}});  // no tensor of the optimiser
    CHECK(file.attributes.empty());
  }
  const std::string nested = "\x80\2}(" + text("name") + text("run 1") + text("hparams") + "}(" +
                             text("dim") + "K\x08" + text("types") + "(K\1K\2t" + text("deeper") + "}" +
                             text("x") + "K\1su" + text("weights") + "}" + text("a") + one + "su.";
  CHECK(read(torch_zip(nested, {{"0", "1234"}})).settings ==
        std::map<std::string, nlohmann::json>{
            {"name", "run 1"}, {"hparams.dim", 8}, {"hparams.types", {1, 2}}});
}

TEST_CASE("torch zip: what is not a checkpoint") {
  CHECK(has(refusal(zip_of({{"word/document.xml", "<a/>"}})), "has no data.pkl, but 'word/document.xml'"));
  CHECK(has(refusal(zip_of({{"a/data.pkl", "}."}, {"b/data.pkl", "}."}})), "two pickles"));
  CHECK(has(refusal(torch_zip("}.}.", {})), "bytes after the pickle"));
  CHECK(has(refusal(zip_of({{"a/data.pkl", "}."}, {"a/byteorder", "big"}})), "not little-endian"));
  CHECK(has(refusal(""), "but an empty file"));
  CHECK(has(refusal("not a checkpoint at all"), "but text"));
  CHECK(has(refusal("\1\2\3 \xff"), "5 bytes that begin with 01 02 03"));
  CHECK(has(refusal("version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"));
  CHECK(has(refusal("<html><body>Sign in"), "an HTML page"));
  CHECK(has(refusal("\x1f\x8b\x08 packed"), "gunzip"));
  CHECK(
      has(refusal_of([] { read_state_file(std::filesystem::path("/nonexistent.pt")); }), "cannot be opened"));
  CHECK(
      has(refusal_of([] { read_state_file(std::filesystem::temp_directory_path()); }), "not a regular file"));
}

TEST_CASE("torch legacy: storages follow the pickles") {
  const std::string data = le(5.f) + le(6.f);
  StateFile file = read(legacy_file(2, 2, data));
  CHECK(file.container == "PyTorch legacy");
  CHECK(floats(file.tensors.at(0)) == std::vector<float>{5, 6});
  CHECK(has(refusal(legacy_file(2, 3, data)), "its tensor says 2"));
  CHECK(has(refusal(legacy_file(2, -1, data)), "its tensor says 2"));
  CHECK(has(refusal(legacy_file(2, 2, data + "x")), "1 bytes after the last storage"));
  CHECK(has(refusal(legacy_file(1 << 30, 1 << 30, data)), "needs 4294967296 bytes"));
  CHECK(has(
      refusal(legacy_head +
              dict_pickle({{"t", tensor(legacy_storage("FloatStorage", "k", 2), 0, {2}, {1})}}) + "\x80\2]."),
      "0 storages, but its tensors use 1"));
  CHECK(has(refusal(legacy_head + dict_pickle({{"a", "K\1"}}) + "\x80\2](" + text("k") + "e."),
            "used by no tensor"));
  const std::string whole = legacy_file(2, 2, data);
  for (size_t size = 14; size < whole.size(); ++size) CHECK(refusal(whole.substr(0, size)) != "accepted");
}

TEST_CASE("golden files: every truncation is refused, and no bit of the structure can be flipped unseen") {
  const std::string whole = content_of(golden("rudalle/grid8_six_layers.bin"));
  // Every byte of the directory's region and of the first header; data in larger steps.
  for (size_t size = 0; size < whole.size(); size += size < 4096 || size > whole.size() - 2048 ? 1 : 997)
    CHECK(refusal(whole.substr(0, size)) != "accepted");
  for (size_t at = 0; at < 2000; ++at) {
    std::string flipped = whole;
    flipped[at] ^= 4;
    try {
      read(flipped);
      // Only what the format leaves free may change: versions, times, the padding of the first header.
      CHECK((at < 16 || (at >= 18 && at < 64)));
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::model);
    }
  }
}
