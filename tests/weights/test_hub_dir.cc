// Hugging Face's CLIPs: folders as hubs hand them out, configurations, tensors that are put together.
#include <fstream>

#include "core/io/atomic_file.h"
#include "tests/weights/files.h"
#include "weights/hub_dir.h"
#include "weights/import.h"
#include "weights/open.h"
#include "weights/presets.h"

using namespace dalle1;
using namespace dalle1::test;
using namespace dalle1::weights;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

json hf_config() {
  std::ifstream file(golden("hf_clip/config.json"));
  return json::parse(file);
}

json native_of(const json& config) {
  ScratchDir scratch;
  write_file_atomically(scratch / "config.json", config.dump());
  return read_config((scratch / "config.json").string());
}

void take(const std::string& from, const fs::path& to) { fs::copy_file(golden(from), to); }

std::string refusal(const fs::path& folder, const json& config = nullptr) {
  return refusal_of([&] { open_checkpoint({folder}, config, "clip"); });
}

}  // namespace

TEST_CASE("a hub's folder: weights, configuration and tokenizer of one CLIP") {
  ScratchDir scratch;
  CHECK_FALSE(find_hub_dir(scratch.path()));
  CHECK(has(refusal(scratch.path()), "a folder without model.json, and none of a CLIP"));
  take("hf_clip/pytorch_model.bin", scratch / "pytorch_model.bin");
  CHECK(has(refusal(scratch.path()), "give a configuration with"));  // 48 channels are no heads of 64
  take("hf_clip/config.json", scratch / "config.json");
  const Checkpoint clip = open_checkpoint({scratch.path()});
  CHECK(clip.format == "hf-clip");
  CHECK(clip.config.at("transformer_heads") == 3);
  CHECK(clip.config.at("end_token") == 1113);
  CHECK(clip.config.at("activation") == "gelu");
  CHECK(clip.note.empty());
  CHECK(open_parts({scratch.path()}, [](auto) { return json(); }).at("clip").config == clip.config);
  CHECK(has(refusal(scratch.path(), {{"vision_heads", 4}}), "says vision_heads 4, but the folder's 2"));

  write_file_atomically(scratch / "preprocessor_config.json",
                        R"({"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25], "resample": 3})");
  CHECK(open_checkpoint({scratch.path()}).config.at("mean") == json({0.5, 0.5, 0.5}));
  write_file_atomically(scratch / "preprocessor_config.json", R"({"resample": 2})");
  CHECK(has(refusal(scratch.path()), "'resample' is 2; only 3 is supported"));

  write_file_atomically(scratch / "vocab.json", "{}");
  CHECK(has(refusal_of([&] { find_hub_dir(scratch.path()); }), "one half of a tokenizer"));
  take("hf_clip_tokenizer/tokenizer.json", scratch / "tokenizer.json");
  CHECK(tokenizer_text(*find_hub_dir(scratch.path())) ==
        content_of(golden("hf_clip_tokenizer/tokenizer.json")));
  // open_clip's files come first, with the tokenizer that all share.
  take("open_clip/epoch_3.pt", scratch / "open_clip_pytorch_model.bin");
  take("open_clip/open_clip_config.json", scratch / "open_clip_config.json");
  CHECK(find_hub_dir(scratch.path())->tokenizer.empty());
  CHECK(open_checkpoint({scratch.path()}).config.at("vision_mlp_width") == 120);
}

TEST_CASE("configurations: Hugging Face's of a CLIP become native") {
  json config = {{"model_type", "clip"}};
  json expected = find_preset("clip-vit-b-32")->config;
  const json plain = native_of(config);
  for (const auto& [field, value] : expected.items()) {
    CAPTURE(field);
    CHECK(plain.at(field) == value);
  }
  CHECK(plain.at("end_token") == 49407);
  config["text_config"] = {{"eos_token_id", 2}, {"hidden_size", 640}};
  config["text_config_dict"] = {{"hidden_size", 768}};
  CHECK(native_of(config).at("end_token") == -1);  // from before the feature was taken at this id
  CHECK(native_of(config).at("transformer_width") == 768);
  config["text_config"]["hidden_act"] = "gelu";
  CHECK(has(refusal_of([&] { native_of(config); }), "text tower has gelu and its vision tower quick_gelu"));
  config["vision_config"] = {{"hidden_act", "gelu"}};
  CHECK(native_of(config).at("activation") == "gelu");
  config["vision_config"]["layer_norm_eps"] = 1e-6;
  CHECK(has(refusal_of([&] { native_of(config); }), "'vision_config.layer_norm_eps' is 1e-06"));
  config["vision_config"] = {{"hidden_act", "silu"}};
  CHECK(has(refusal_of([&] { native_of(config); }), "quick_gelu and gelu are supported"));
  config["vision_config"] = 3;
  CHECK(has(refusal_of([&] { native_of(config); }), "'vision_config' is no object"));
  config["vision_config"] = {{"patch_size", -1}, {"hidden_act", "gelu"}};
  CHECK(has(refusal_of([&] { native_of(config); }), "'vision_config.patch_size' cannot be -1"));
}

TEST_CASE("import: Hugging Face's CLIP with tensors that do not belong together") {
  StateFile whole = read_state_file(golden("hf_clip/pytorch_model.bin"));
  const json config = native_of(hf_config());
  const std::string queries = "text_model.encoder.layers.0.self_attn.q_proj.weight",
                    keys = "text_model.encoder.layers.0.self_attn.k_proj.weight";
  const auto refused = [&](const std::string& name, const auto& change) {
    StateFile file = whole;
    std::erase_if(file.tensors, [&](RawTensor& tensor) { return tensor.name == name && change(tensor); });
    return refusal_of([&] { import_files({file}, config); });
  };
  CHECK(has(refused(keys, [](RawTensor&) { return true; }),
            "'transformer.resblocks.0.attn.k_proj.weight' is missing"));
  CHECK(has(refused(keys,
                    [](RawTensor& tensor) {
                      tensor.shape = {24, 96};
                      return false;
                    }),
            "[48, 48] and 'transformer.resblocks.0.attn.k_proj.weight' [24, 96]"));
  CHECK(has(refused("visual_projection.weight",
                    [](RawTensor& tensor) {
                      tensor.shape = {32, 8, 8};
                      return false;
                    }),
            "no matrix"));
  json other = config;
  other["vision_width"] = 768;
  CHECK(has(refusal_of([&] { import_files({whole}, other); }), "says vision_width 768, but the file has 64"));
}
