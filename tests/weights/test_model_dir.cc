#include "core/io/atomic_file.h"
#include "tests/weights/files.h"
#include "weights/model_dir.h"
#include "weights/open.h"
#include "weights/pack.h"

using namespace dalle1;
using namespace dalle1::test;
using namespace dalle1::weights;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

Checkpoint small_clip() { return open_checkpoint({golden("openai_clip_vit/small_jit.pt")}); }

void write_model(const fs::path& path, std::optional<DType> dtype = {}) {
  ModelDirWriter writer(path, "test model", "CC0");
  writer.set_provenance({{"made", "by a test"}});
  writer.add(small_clip(), dtype);
  writer.add_tokenizer("tokenizer", {"yttm", golden("yttm/bpe.model")}, "bpe.model");
  writer.commit();
}

std::string refusal(const fs::path& path, bool verify = false) {
  return refusal_of([&] { read_model_dir(path, verify); });
}

void change_document(const fs::path& path, const std::function<void(json&)>& change) {
  json document = json::parse(content_of(path / "model.json"));
  change(document);
  write_file_atomically(path / "model.json", document.dump());
}

/// Largest |difference| over the tensor, as a fraction of its largest value.
double relative_error(const RawTensor& a, const RawTensor& b, const RawTensor* scale) {
  const auto x = to_floats(a), y = to_floats(b, scale);
  double worst = 0, largest = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    worst = std::max(worst, std::fabs(double{x[i]} - y[i]));
    largest = std::max(largest, std::fabs(double{x[i]}));
  }
  return largest > 0 ? worst / largest : worst;
}

}  // namespace

TEST_CASE("model directory: what is written reads back with every bit") {
  ScratchDir scratch;
  write_model(scratch / "m");
  ModelDir model = read_model_dir(scratch / "m", true);
  CHECK(model.name == "test model");
  CHECK(model.licence == "CC0");
  CHECK(model.document["provenance"]["made"] == "by a test");
  REQUIRE(model.tokenizer);
  CHECK(model.tokenizer->kind == "yttm");
  CHECK(content_of(model.tokenizer->path) == content_of(golden("yttm/bpe.model")));
  CHECK_FALSE(model.clip_tokenizer);
  CHECK(content_of(scratch / "m/README.md").starts_with("# test model"));

  const Checkpoint original = small_clip();
  for (const auto& path :
       {scratch / "m", scratch / "m/clip.safetensors"}) {  // the part file stands alone too
    const Checkpoint copy = open_checkpoint({path}, nullptr, "clip");
    CHECK(copy.format == "native");
    CHECK(copy.config == original.config);
    CHECK(copy.tensors.size() == original.tensors.size());
    for (const RawTensor& tensor : original.tensors) {
      const RawTensor* same = copy.find(tensor.name);
      REQUIRE(same);
      CHECK(same->dtype == tensor.dtype);
      CHECK(same->shape == tensor.shape);
      CHECK(std::equal(tensor.bytes.begin(), tensor.bytes.end(), same->bytes.begin(), same->bytes.end()));
    }
  }
}

TEST_CASE("model directory: narrow types keep values within their rounding, vectors exact") {
  ScratchDir scratch;
  const Checkpoint original = small_clip();
  const std::pair<DType, double> types[] = {
      {DType::f32, 0}, {DType::f16, 0x1p-11}, {DType::bf16, 0x1p-8}, {DType::i8, 0.5 / 127 + 1e-6}};
  for (auto [dtype, tolerance] : types) {
    const auto path = scratch / ("m-" + std::string(name_of(dtype)));
    write_model(path, dtype);
    const Checkpoint copy = open_checkpoint({path});
    CHECK(copy.parameter_count() == original.parameter_count());
    for (const RawTensor& tensor : original.tensors) {
      const RawTensor* same = copy.find(tensor.name);
      REQUIRE(same);
      CAPTURE(tensor.name);
      CHECK(same->dtype == (tensor.shape.size() >= 2 ? dtype : DType::f32));
      const RawTensor* scale = copy.find(tensor.name + ".scale");
      CHECK((scale != nullptr) == (same->dtype == DType::i8));
      CHECK(relative_error(tensor, *same, scale) <= (tensor.shape.size() >= 2 ? tolerance : 0));
    }
  }
  // i8 written again is the same file: the scales travel with it.
  write_part(scratch / "again.safetensors", open_checkpoint({scratch / "m-i8"}), DType::i8);
  CHECK(content_of(scratch / "again.safetensors") == content_of(scratch / "m-i8/clip.safetensors"));
  // And back to f32 holds the values of the i8 file.
  write_part(scratch / "wide.safetensors", open_checkpoint({scratch / "m-i8"}), DType::f32);
  const Checkpoint narrow = open_checkpoint({scratch / "m-i8"}),
                   wide = open_checkpoint({scratch / "wide.safetensors"});
  CHECK(to_floats(*wide.find("text_projection")) ==
        to_floats(*narrow.find("text_projection"), narrow.find("text_projection.scale")));
  CHECK(wide.find("text_projection.scale") == nullptr);
}

TEST_CASE("pack: i8 uses the whole range of each row") {
  const std::vector<float> values = {1, -2, 0.5f, 0, 0, 0, 127, 64, -1};
  Packed packed = pack("t", values, {3, 3}, DType::i8);
  CHECK(packed.scale == std::vector<float>{2.f / 127, 0, 1});
  const auto q = [&](size_t i) { return static_cast<int>(static_cast<int8_t>(packed.bytes[i])); };
  CHECK(q(0) == 64);  // 63.5 to even
  CHECK(q(1) == -127);
  CHECK(q(3) == 0);
  CHECK(q(6) == 127);
  CHECK(has(refusal_of([] {
              pack("t", std::vector<float>{INFINITY}, {1, 1}, DType::i8);
            }),
            "'t' has the value inf"));
  CHECK(has(refusal_of([] {
              pack("t", std::vector<float>{1e6f}, {1, 1}, DType::f16);
            }),
            "a 16-bit float does not hold"));
  RawTensor lonely{"t", DType::i8, {1, 1}, std::as_bytes(std::span("x", 1)), nullptr};
  CHECK(has(refusal_of([&] { to_floats(lonely); }), "needs 't.scale'"));
  const auto unpacked = [](int8_t q, float scale) {
    const RawTensor scales{"t.scale", DType::f32, {1}, std::as_bytes(std::span(&scale, 1)), nullptr};
    const RawTensor narrow{"t", DType::i8, {1, 1}, std::as_bytes(std::span(&q, 1)), nullptr};
    return refusal_of([&] { to_floats(narrow, &scales); });
  };
  CHECK(unpacked(-127, 0.5f) == "accepted");
  CHECK(has(unpacked(-128, 0.5f), "'t' has -128 at element 0"));
  for (float scale : {INFINITY, -INFINITY, NAN}) CHECK(has(unpacked(1, scale), "'t.scale' has the value"));
  RawTensor ids{"t", DType::u8, {1}, std::as_bytes(std::span("x", 1)), nullptr};
  CHECK(has(refusal_of([&] { to_floats(ids); }), "a weight is a floating tensor"));
}

TEST_CASE("model directory: what does not fit model.json is refused") {
  ScratchDir scratch;
  const auto path = scratch / "m";
  write_model(path);
  SUBCASE("a changed byte is found by its hash") {
    std::string part = content_of(path / "clip.safetensors");
    part.back() ^= 1;
    write_file_atomically(path / "clip.safetensors", part);
    CHECK(refusal(path) == "accepted");
    CHECK(has(refusal(path, true), "sha256"));
  }
  SUBCASE("a file of another size") {
    write_file_atomically(path / "clip.safetensors", "short");
    CHECK(has(refusal(path), "5 bytes; model.json says"));
  }
  SUBCASE("a missing file") {
    fs::remove(path / "clip.safetensors");
    CHECK(has(refusal(path), "cannot be opened"));
  }
  SUBCASE("a path out of the folder") {
    for (const char* file : {"../clip.safetensors", "/etc/passwd", "", ".", "a/b"}) {
      change_document(path, [&](json& d) { d["clip"]["file"] = file; });
      CHECK(has(refusal(path), "not a plain file name"));
    }
  }
  SUBCASE("another format version") {
    change_document(path, [](json& d) { d["format"] = 2; });
    CHECK(has(refusal(path), "this program reads format 1"));
  }
  SUBCASE("an unknown tokenizer") {
    change_document(path, [](json& d) { d["tokenizer"]["kind"] = "magic"; });
    CHECK(has(refusal(path), "unknown kind of tokenizer"));
  }
  SUBCASE("members of the wrong kind") {
    const json valid = json::parse(content_of(path / "model.json"));
    for (const char* pointer : {"/format", "/name", "/licence", "/files", "/clip", "/clip/config",
                                "/clip/file", "/files/clip.safetensors", "/files/clip.safetensors/bytes",
                                "/files/clip.safetensors/sha256", "/tokenizer", "/tokenizer/kind"}) {
      for (const json& wrong : {json(), json(-1), json("x"), json::array(), json::object(), json(1.5)}) {
        json document = valid;
        if (document[json::json_pointer(pointer)].type() == wrong.type()) continue;
        document[json::json_pointer(pointer)] = wrong;
        std::ofstream(path / "model.json", std::ios::binary) << document.dump();
        CAPTURE(pointer);
        CHECK(refusal(path) != "accepted");
      }
    }
  }
  SUBCASE("no parts") {
    change_document(path, [](json& d) { d.erase("clip"); });
    CHECK(has(refusal(path), "names no dvae"));
  }
  SUBCASE("a document cut short at every byte, or far too large or deep") {
    for (size_t size = fs::file_size(path / "model.json") - 2; size-- > 0;) {
      fs::resize_file(path / "model.json", size);
      CHECK(refusal(path) != "accepted");
    }
    write_file_atomically(path / "model.json", std::string(2 << 20, ' '));
    CHECK(has(refusal(path), "at most 1048576"));
    write_file_atomically(path / "model.json", std::string(100000, '['));
    CHECK(has(refusal(path), "nested deeper"));
  }
  CHECK(has(refusal(scratch / "absent"), "cannot be opened"));
  CHECK(has(refusal_of([&] { open_checkpoint({scratch.path()}); }), "without model.json"));
}
