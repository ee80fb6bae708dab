#include "core/io/atomic_file.h"
#include "tests/weights/files.h"
#include "weights/open.h"
#include "weights/presets.h"
#include "weights/yaml.h"

using namespace dalle1;
using namespace dalle1::test;
using namespace dalle1::weights;
using nlohmann::json;

namespace {

std::string refusal(const std::string& yaml) {
  return refusal_of([&] { parse_simple_yaml("f", yaml); });
}

}  // namespace

TEST_CASE("presets: all are there, and are the published shapes") {
  for (const char* name : {"dalle1-12b",
                           "dalle1-1.3b",
                           "dalle1-250m",
                           "dalle1-60m",
                           "dalle1-20m",
                           "dalle1-5m",
                           "rudalle-malevich",
                           "rudalle-malevich-v2",
                           "rudalle-kandinsky",
                           "rudalle-emojich",
                           "rudalle-surrealist",
                           "openai-dvae",
                           "rudalle-vqgan",
                           "rudalle-vqgan-dwt",
                           "clip-rn50",
                           "clip-rn101",
                           "clip-rn50x4",
                           "clip-rn50x16",
                           "clip-rn50x64",
                           "clip-vit-b-32",
                           "clip-vit-b-16",
                           "clip-vit-l-14",
                           "clip-vit-l-14-336",
                           "clip-vit-h-14",
                           "clip-vit-g-14",
                           "clip-vit-bigg-14",
                           "taming-vqgan-f16-1024",
                           "taming-vqgan-f16-16384",
                           "clip-gelu",
                           "clip-quick-gelu"})
    CHECK(find_preset(name) != nullptr);
  CHECK(presets().size() == 30);
  CHECK(find_preset("dalle1") == nullptr);
  const json config = find_preset("dalle1-12b")->config;
  CHECK(config["width"] == 62 * 64);
  CHECK(config["layers"] == 64);
  for (const Preset& preset : presets()) {
    CHECK_FALSE(preset.summary.empty());
    if (preset.part == "transformer")
      CHECK(preset.config["width"].get<int>() % preset.config["heads"].get<int>() == 0);
    if (preset.name.starts_with("dalle1-"))
      CHECK(preset.config["width"].get<int>() == 64 * preset.config["heads"].get<int>());
  }
  CHECK(read_config("rudalle-kandinsky")["width"] == 3840);
}

TEST_CASE("configurations: files by content, and a clear word for anything else") {
  ScratchDir scratch;
  write_file_atomically(scratch / "a.txt", " {\"x\": [1, 2]}");
  CHECK(read_config((scratch / "a.txt").string()) == json({{"x", {1, 2}}}));
  write_file_atomically(scratch / "b.txt", "x:\n- 1\n- 2\n");
  CHECK(read_config((scratch / "b.txt").string()) == json({{"x", {1, 2}}}));
  try {
    read_config("no-such-preset");
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::usage);
    CHECK(has(error.what(), "dalle1-12b"));
  }
}

TEST_CASE("configurations: open_clip's become native") {
  const auto read = [](const json& config) {
    ScratchDir scratch;
    write_file_atomically(scratch / "open_clip.json", config.dump());
    return read_config((scratch / "open_clip.json").string());
  };
  const json model = {
      {"embed_dim", 1024},
      {"vision_cfg",
       {{"image_size", 224},
        {"layers", 40},
        {"width", 1408},
        {"head_width", 88},
        {"mlp_ratio", 4.3637},
        {"patch_size", 14}}},
      {"text_cfg",
       {{"context_length", 77}, {"vocab_size", 49408}, {"width", 1024}, {"heads", 16}, {"layers", 24}}}};
  json expected = find_preset("clip-vit-g-14")->config;
  expected["transformer_mlp_width"] = 4096;
  CHECK(read(model) == expected);

  json hub = {{"model_cfg", model},
              {"preprocess_cfg", {{"mean", {0.5, 0.5, 0.5}}, {"std", {0.5, 0.5, 0.5}}, {"mode", "RGB"}}}};
  hub["model_cfg"]["quick_gelu"] = true;
  expected["activation"] = "quick_gelu";
  expected["mean"] = expected["std"] = {0.5, 0.5, 0.5};
  CHECK(read(hub) == expected);

  // open_clip's defaults where a field is absent.
  const json small =
      read({{"vision_cfg", {{"layers", {1, 1, 1, 1}}, {"width", 64}}}, {"text_cfg", json::object()}});
  CHECK(small.at("vision_heads") == 32);
  CHECK(small.at("transformer_heads") == 8);
  CHECK(small.at("activation") == "gelu");

  const auto refused = [&](const char* section, const char* field, const json& value) {
    json changed = model;
    changed[section][field] = value;
    return refusal_of([&] { read(changed); });
  };
  CHECK(has(refused("vision_cfg", "timm_model_name", "vit"), "unknown field 'vision_cfg.timm_model_name'"));
  CHECK(has(refused("vision_cfg", "head_width", -1), "'vision_cfg.head_width' cannot be -1"));
  CHECK(has(refused("text_cfg", "hf_tokenizer_name", "x"), "'text_cfg.hf_tokenizer_name'"));
  hub["preprocess_cfg"]["interpolation"] = "bilinear";
  CHECK(has(refusal_of([&] { read(hub); }), "only \"bicubic\" is supported"));
}

TEST_CASE("configurations: a file of another kind is named") {
  ScratchDir scratch;
  write_file_atomically(scratch / "page.json", "<!doctype html><p>Not found");
  CHECK(has(refusal_of([&] { read_config((scratch / "page.json").string()); }), "an HTML page"));
  write_file_atomically(scratch / "lfs.json", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n");
  CHECK(has(refusal_of([&] { read_config((scratch / "lfs.json").string()); }), "git lfs pull"));
  for (const char* number : {"NaN", "Infinity", "-Infinity"}) {
    write_file_atomically(scratch / "nan.json", fmt::format("{{\n  \"a\": 1,\n  \"b\": {}\n}}", number));
    const std::string message = refusal_of([&] { read_config((scratch / "nan.json").string()); });
    CHECK(has(message, "line 3, column 8"));
    CHECK(has(message, number));
  }
}

TEST_CASE("yaml: the part in which configurations are published") {
  CHECK(parse_simple_yaml(
            "f",
            "---\na: 1\nb:\n  c: 2.5e-06 # comment\n  d: [1, 2]\n  e:\n  - x\n  - \"y z\"\nf: false\ng:\n") ==
        json({{"a", 1},
              {"b", {{"c", 2.5e-06}, {"d", {1, 2}}, {"e", {"x", "y z"}}}},
              {"f", false},
              {"g", nullptr}}));
  CHECK(parse_simple_yaml("f", "a: b.c.D\r\n#x\n\nt: 'q'") == json({{"a", "b.c.D"}, {"t", "q"}}));
  CHECK(parse_simple_yaml("f", "- 1\n- -2") == json({1, -2}));
  CHECK(parse_simple_yaml("f", "a: 'x # y'\nb: \"#1\" # c\nc: [it's, \"a # b\"] # d\nd: it's # e") ==
        json({{"a", "x # y"}, {"b", "#1"}, {"c", {"it's", "a # b"}}, {"d", "it's"}}));
  CHECK(has(refusal(""), "empty"));
  CHECK(has(refusal("a: \xff"), "not UTF-8"));
  CHECK(has(refusal("a"), "line 1 has no 'key: value'"));
  CHECK(has(refusal("a: 1\n b: 2"), "line 2 is indented"));
  CHECK(has(refusal("a: 1\na: 2"), "line 2 repeats a key"));
  CHECK(has(refusal("a: &x 1"), "beyond maps"));
  CHECK(has(refusal("a: !!python/object:os.system x"), "beyond maps"));
  CHECK(has(refusal("a: [1, 2"), "does not end"));
  CHECK(has(refusal("a:\t1"), "tab"));
  CHECK(has(refusal("- a: 1"), "map inside a list item"));
  std::string deep;
  for (int i = 0; i < 50; ++i) deep += std::string(static_cast<size_t>(i), ' ') + "k:\n";
  CHECK(has(refusal(deep), "nested too deep"));
}
