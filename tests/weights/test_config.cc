#include "core/data/atomic_file.h"
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
  for (const char* name :
       {"dalle1-12b",        "dalle1-1.3b",       "dalle1-250m",        "dalle1-60m",
        "dalle1-20m",        "dalle1-5m",         "rudalle-malevich",   "rudalle-malevich-v2",
        "rudalle-kandinsky", "rudalle-emojich",   "rudalle-surrealist", "openai-dvae",
        "rudalle-vqgan",     "rudalle-vqgan-dwt", "clip-rn50",          "clip-rn101",
        "clip-rn50x4",       "clip-rn50x16",      "clip-rn50x64",       "clip-vit-b-32",
        "clip-vit-b-16",     "clip-vit-l-14",     "clip-vit-l-14-336"})
    CHECK(find_preset(name) != nullptr);
  CHECK(presets().size() == 23);
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
