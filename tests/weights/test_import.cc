#include "tests/weights/files.h"
#include "weights/import.h"
#include "weights/open.h"
#include "weights/part_file.h"
#include "weights/safetensors.h"

using namespace dalle1;
using namespace dalle1::test;
using namespace dalle1::weights;
using nlohmann::json;

namespace {

json config_in(const std::string& name) { return read_config(golden(name).string()); }

std::string refusal(const std::vector<std::filesystem::path>& paths, const json& config = nullptr,
                    std::string_view part = "") {
  return refusal_of([&] { open_checkpoint(paths, config, part); });
}

/// The checkpoint's tensors in a safetensors file without metadata, without the one called `without`.
std::filesystem::path as_safetensors(const ScratchDir& scratch, const StateFile& file,
                                     const std::string& without = "") {
  std::vector<PartTensor> tensors;
  for (const RawTensor& tensor : file.tensors)
    if (tensor.name != without)
      tensors.push_back({tensor.name, tensor.shape, tensor.dtype, tensor.bytes, {}});
  write_part_tensors(scratch / "copy.bin", tensors, {});
  return scratch / "copy.bin";
}

}  // namespace

TEST_CASE("import: OpenAI's dVAE from its pair of pickled modules, in either order") {
  const auto encoder = golden("openai_dvae/encoder_legacy.pkl"),
             decoder = golden("openai_dvae/decoder_legacy.pkl");
  for (const auto& paths : {std::vector{encoder, decoder}, std::vector{decoder, encoder}}) {
    Checkpoint dvae = open_checkpoint(paths);
    CHECK(dvae.part == "dvae");
    CHECK(dvae.format == "openai-dvae");
    CHECK(dvae.config == json({{"kind", "openai"},
                               {"hidden", 8},
                               {"decoder_init", 16},
                               {"groups", 4},
                               {"blocks_per_group", 1},
                               {"codes", 512},
                               {"channels", 3},
                               {"post_gain", 1.0 / 16},
                               {"quantiser", "gumbel"},
                               {"output_channels", 6},
                               {"pixel_map", "logit_laplace"}}));
    CHECK(dvae.tensors.size() == 86);
    REQUIRE(dvae.find("encoder.blocks.group_2.block_1.id_path.w"));
    CHECK(dvae.find("decoder.blocks.output.conv.b")->shape == std::vector<int64_t>{6});
  }
  CHECK(open_checkpoint({encoder}).config.at("half") == "encoder");
  CHECK(has(refusal({encoder, encoder}), "two encoders"));
  CHECK(has(refusal({encoder, golden("openai_clip_rn/rn_jit.pt")}), "do not belong together"));
  CHECK(has(refusal({encoder, decoder}, nullptr, "clip"), "not a clip"));
}

TEST_CASE("import: OpenAI's dVAE with and without the attribute that newer pickles have") {
  const auto encoder = golden("openai_dvae/encoder_legacy.pkl"),
             decoder = golden("openai_dvae/decoder_legacy.pkl");
  std::string bytes = content_of(decoder);
  const std::string attribute =
      "recompute_scale_factor";  // of the upsampling layers, as PyTorch 1.13 pickles them
  const size_t at = bytes.find(attribute);
  REQUIRE(at != bytes.npos);
  bytes.replace(at, attribute.size(), std::string(attribute.size(), 'x'));
  CHECK(bytes.find(attribute) == bytes.npos);
  ScratchDir scratch;
  write_file_atomically(scratch / "older.pkl", bytes);
  const Checkpoint older = open_checkpoint({encoder, scratch / "older.pkl"}),
                   newer = open_checkpoint({encoder, decoder});
  CHECK(older.config == newer.config);
  REQUIRE(older.tensors.size() == newer.tensors.size());
  for (size_t i = 0; i < older.tensors.size(); ++i) {
    CHECK(older.tensors[i].name == newer.tensors[i].name);
    CHECK(text_of(older.tensors[i].bytes) == text_of(newer.tensors[i].bytes));
  }
}

TEST_CASE("import: OpenAI's CLIP, its configuration from the shapes") {
  Checkpoint vit = open_checkpoint({golden("openai_clip_vit/small_jit.pt")});
  CHECK(vit.part == "clip");
  CHECK(vit.config == json({{"kind", "openai"},
                            {"embed_dim", 64},
                            {"image_resolution", 64},
                            {"vision_layers", 2},
                            {"vision_width", 128},
                            {"vision_patch_size", 16},
                            {"context_length", 77},
                            {"vocab_size", 300},
                            {"transformer_width", 64},
                            {"transformer_heads", 1},
                            {"transformer_layers", 3}}));
  CHECK(vit.tensors.size() == 74);
  CHECK(vit.find("visual.conv1.weight")->dtype == DType::f16);
  CHECK(vit.find("visual.ln_pre.weight")->dtype == DType::f32);
  CHECK(vit.find("logit_scale")->shape.empty());
  CHECK_FALSE(vit.find("context_length"));

  Checkpoint resnet = open_checkpoint({golden("openai_clip_rn/rn_jit.pt")}, nullptr, "clip");
  CHECK(resnet.config.at("vision_layers") == json({1, 2, 1, 1}));
  CHECK(resnet.config.at("image_resolution") == 96);
  CHECK(resnet.config.at("vision_width") == 8);
  CHECK(resnet.config.at("vision_patch_size").is_null());
  CHECK(resnet.find("visual.layer1.0.downsample.1.running_var"));
  CHECK_FALSE(resnet.find("visual.bn1.num_batches_tracked"));
}

TEST_CASE("import: a state dict is recognised by its names in any container") {
  ScratchDir scratch;
  StateFile jit = read_state_file(golden("openai_clip_vit/small_jit.pt"));
  CHECK(jit.container == "TorchScript");
  Checkpoint copy = open_checkpoint({as_safetensors(scratch, jit)});
  CHECK(copy.format == "openai-clip");
  CHECK(copy.config == open_checkpoint({golden("openai_clip_vit/small_jit.pt")}).config);
  CHECK(has(refusal({as_safetensors(scratch, jit, "ln_final.weight")}), "'ln_final.weight' is missing"));
  CHECK(has(refusal({as_safetensors(scratch, jit, "text_projection")}), "of no known model"));
  StateFile bare;
  bare.name = "f";
  bare.container = "safetensors";
  CHECK(has(refusal_of([&] { import_files({bare}); }), "f: safetensors without tensors, of no known model"));
}

TEST_CASE("import: ru-dalle's transformers, both conventions") {
  Checkpoint v2 =
      open_checkpoint({golden("rudalle/grid8_v2.bin")}, config_in("rudalle/grid8_v2_config.json"));
  CHECK(v2.part == "transformer");
  CHECK(v2.config.at("start") == "prepended");
  CHECK(v2.config.at("loss") == "rudalle_v2");
  CHECK(v2.config.at("schedule") == json({{"kind", "rudalle"}, {"kernel", 11}, {"wrap", "rudalle-v2"}}));
  CHECK(v2.config.at("text_vocab") == 80);
  CHECK(v2.config.at("text_length") == 12);
  CHECK(v2.find("text_position.weight")->shape == std::vector<int64_t>{13, 48});
  CHECK(v2.find("layers.3.attention.qkv.weight")->shape == std::vector<int64_t>{144, 48});
  CHECK(v2.find("head.weight")->shape == std::vector<int64_t>{142, 48});
  CHECK(v2.tensors.size() == 75);  // the three masks are dropped

  Checkpoint v3 = open_checkpoint({golden("rudalle/grid8_six_layers.bin")},
                                  config_in("rudalle/grid8_six_layers_config.json"));
  CHECK(v3.config.at("start") == "none");
  CHECK(v3.config.at("loss") == "rudalle_v3");
  CHECK(v3.config.at("sandwich_norm") == true);
  CHECK(v3.find("layers.5.mlp_post_norm.bias"));

  CHECK(has(refusal({golden("rudalle/grid8_v2.bin")}), "add --config"));
  CHECK(has(refusal({golden("rudalle/grid8_v2.bin")}, {{"num_layers", 4}}), "lacks 'hidden_size'"));
  CHECK(has(refusal({golden("rudalle/grid8_v2.bin")}, {{"num_layers", "4"}}), "configuration"));
  json wrong = config_in("rudalle/grid8_v2_config.json");
  wrong["hf_version"] = "v9";
  CHECK(has(refusal({golden("rudalle/grid8_v2.bin")}, wrong), "neither \"v2\" nor \"v3\""));
  wrong["hf_version"] = "v2";
  wrong["cogview_sandwich_layernorm"] = "yes";
  CHECK(has(refusal({golden("rudalle/grid8_v2.bin")}, wrong), "does not fit rudalle"));
}

TEST_CASE("import: ru-dalle's wavelet VQGAN with its YAML and without") {
  const auto path = golden("rudalle_vqgan/vqgan_f8_dwt.ckpt");
  Checkpoint given = open_checkpoint({path}, config_in("rudalle_vqgan/vqgan_f8_dwt_config.yml"));
  CHECK(given.part == "dvae");
  CHECK(given.format == "rudalle-vqgan-dwt");
  CHECK(given.config == json({{"kind", "vqgan"},
                              {"dwt", true},
                              {"z_channels", 32},
                              {"resolution", 64},
                              {"in_channels", 3},
                              {"out_ch", 3},
                              {"ch", 32},
                              {"ch_mult", {1, 1, 1, 1}},
                              {"num_res_blocks", 1},
                              {"attn_resolutions", {8}},
                              {"embed_dim", 32},
                              {"n_embed", 96}}));
  CHECK(given.find("decoder.conv_out.weight")->shape[0] == 12);
  CHECK(given.find("post_quant_conv.weight"));
  for (const RawTensor& tensor : given.tensors) CHECK(tensor.name.find("idwt") == std::string::npos);

  // From shapes the levels with attention are right, at the published resolution.
  json derived = open_checkpoint({path}).config;
  CHECK(derived.at("resolution") == 256);
  CHECK(derived.at("attn_resolutions") == json({32}));
  derived["resolution"] = 64;
  derived["attn_resolutions"] = {8};
  CHECK(derived == given.config);
}

TEST_CASE("import: a tensor that the format does not have is refused by name") {
  ScratchDir scratch;
  StateFile file = read_state_file(golden("openai_clip_vit/small_jit.pt"));
  file.tensors.push_back(file.tensors.front());
  file.tensors.back().name = "a.stranger";
  CHECK(
      has(refusal_of([&] { import_files({file}); }), "1 tensors that this format does not have: a.stranger"));
}

TEST_CASE("import: rules of names") {
  const NameRule rules[] = {{"a.#.b.*", "x.#.*"}, {"drop.*", ""}, {"exact", "same"}};
  CHECK(renamed("a.12.b.c.d", rules) == "x.12.c.d");
  CHECK(renamed("a..b.c", rules) == std::nullopt);
  CHECK(renamed("a.1.b", rules) == std::nullopt);
  CHECK(renamed("drop.me", rules) == "");
  CHECK(renamed("exact", rules) == "same");
  CHECK(renamed("exactly", rules) == std::nullopt);
}
