#include "tests/weights/files.h"
#include "weights/import.h"
#include "weights/open.h"
#include "weights/pack.h"
#include "weights/part_file.h"
#include "weights/presets.h"
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
                            {"vision_heads", 2},
                            {"vision_mlp_width", 512},
                            {"vision_patch_size", 16},
                            {"context_length", 77},
                            {"vocab_size", 300},
                            {"transformer_width", 64},
                            {"transformer_heads", 1},
                            {"transformer_mlp_width", 256},
                            {"transformer_layers", 3},
                            {"activation", "quick_gelu"}}));
  CHECK(vit.note.empty());  // OpenAI's archives are of one activation
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
  CHECK(has(copy.note, "does not say its activation: quick_gelu is taken"));
  CHECK(has(refusal({as_safetensors(scratch, jit, "ln_final.weight")}), "'ln_final.weight' is missing"));
  CHECK(has(refusal({as_safetensors(scratch, jit, "text_projection")}), "of no known model"));
  StateFile bare;
  bare.name = "f";
  bare.container = "safetensors";
  CHECK(has(refusal_of([&] { import_files({bare}); }), "f: safetensors without tensors, of no known model"));
}

namespace {

/// A file with the names of a CLIP and shapes of this vision transformer; nobody looks at its numbers.
StateFile clip_of_shape(int64_t width, int64_t layers, int64_t mlp_width, int64_t text_width = 64) {
  StateFile file;
  file.name = "clip.pt";
  file.container = "PyTorch zip";
  const auto add = [&](const std::string& name, std::vector<int64_t> shape) {
    file.tensors.push_back({name, DType::f32, std::move(shape), {}, nullptr});
  };
  add("positional_embedding", {77, text_width});
  add("text_projection", {text_width, 32});
  add("logit_scale", {});
  add("token_embedding.weight", {64, text_width});
  add("ln_final.weight", {text_width});
  add("transformer.resblocks.0.mlp.c_fc.weight", {4 * text_width, text_width});
  add("visual.positional_embedding", {17, width});
  add("visual.proj", {width, 32});
  add("visual.conv1.weight", {width, 3, 8, 8});
  for (int64_t i = 0; i < layers; ++i)
    add(fmt::format("visual.transformer.resblocks.{}.mlp.c_fc.weight", i), {mlp_width, width});
  return file;
}

json config_of_shape(int64_t width, int64_t layers, int64_t mlp_width, const json& given = nullptr) {
  return import_files({clip_of_shape(width, layers, mlp_width)}, given).config;
}

}  // namespace

TEST_CASE("import: CLIP's heads, from what was published or from a configuration, never by guessing") {
  CHECK(config_of_shape(768, 12, 3072).at("vision_heads") == 12);
  CHECK(config_of_shape(1024, 24, 4096).at("vision_heads") == 16);
  CHECK(config_of_shape(896, 12, 3584).at("vision_heads") == 14);   // open_clip's ViT-B-plus
  CHECK(config_of_shape(1280, 32, 5120).at("vision_heads") == 16);  // ViT-H: heads of 80
  CHECK(config_of_shape(1792, 56, 15360).at("vision_heads") == 16);
  const json giant = config_of_shape(1408, 40, 6144);
  CHECK(giant.at("vision_heads") == 16);
  CHECK(giant.at("vision_mlp_width") == 6144);
  CHECK(config_of_shape(128, 1, 512).at("vision_heads") == 2);  // only 64 fits

  const auto refused = [](int64_t width, int64_t layers, const json& given = nullptr) {
    return refusal_of([&] { import_files({clip_of_shape(width, layers, 4 * width)}, given); });
  };
  CHECK(has(refused(320, 1), "320 channels in 1 layers (5 heads of 64 or 4 heads of 80)"));
  CHECK(has(refused(320, 1), "give a configuration with vision_heads"));
  CHECK(has(refused(1280, 24), "vision_heads"));
  CHECK(has(refused(100, 1), "not of heads of 64"));
  CHECK_THROWS_AS(import_files({clip_of_shape(320, 1, 1280)}), MissingConfiguration);
  CHECK(has(refusal_of([&] { import_files({clip_of_shape(64, 1, 256, 96)}); }), "transformer_heads"));
  CHECK(config_of_shape(320, 1, 1280, {{"vision_heads", 4}}).at("vision_heads") == 4);
}

TEST_CASE("import: a CLIP's configuration may say what the tensors do not, and must agree with them") {
  const Checkpoint plain = import_files({clip_of_shape(64, 1, 256)});
  CHECK(plain.config.at("activation") == "quick_gelu");
  CHECK(has(plain.note, "give the configuration clip-gelu"));
  const Checkpoint told = import_files({clip_of_shape(64, 1, 256)}, {{"activation", "gelu"}});
  CHECK(told.config.at("activation") == "gelu");
  CHECK(told.note.empty());
  // open_clip's trainings name their runs after the model.
  const auto trained = [](const char* run) {
    StateFile file = clip_of_shape(64, 1, 256);
    file.settings["name"] = run;
    return import_files({file});
  };
  CHECK(trained("2024_01_02-03_04_05-model_ViT-S-16-lr_0.001-b_64").config.at("activation") == "gelu");
  CHECK(trained("x-model_ViT-S-16-quickgelu-lr_0.001").config.at("activation") == "quick_gelu");
  CHECK(trained("x-model_ViT-S-16-lr_0.001").note.empty());
  for (const char* run : {"mine", "-model_", "-lr_-model_x", "-model_-lr_", "x-model-lr_"})
    CHECK_FALSE(trained(run).note.empty());
  CHECK(trained("x-model_ViT-S-16-lr_1").config.at("activation") !=
        trained("x-model_ViT-S-16-quickgelu-lr_1").config.at("activation"));
  // A shape that only open_clip published.
  const Checkpoint huge = import_files({clip_of_shape(1280, 32, 5120)});
  CHECK(huge.config.at("activation") == "gelu");
  CHECK(has(huge.note, "quick_gelu"));
  const auto refused = [](const json& given) {
    return refusal_of([&] { import_files({clip_of_shape(64, 1, 256)}, given); });
  };
  CHECK(has(refused({{"vision_width", 768}}), "says vision_width 768, but the file has 64"));
  CHECK(has(refused(json::array()), "no JSON object"));
  // A native file says all of it; what contradicts it is refused, too.
  ScratchDir scratch;
  Checkpoint native = open_checkpoint({golden("openai_clip_vit/small_jit.pt")});
  write_part(scratch / "clip.safetensors", native, {});
  CHECK(open_checkpoint({scratch / "clip.safetensors"}, {{"vision_heads", 2}}).config == native.config);
  CHECK(has(refusal({scratch / "clip.safetensors"}, {{"activation", "gelu"}}), "but the file has"));
}

TEST_CASE("import: what wraps all names of a file is passed over, for every format") {
  const auto wrapped = [](const std::string& file, const std::string& prefix) {
    StateFile state = read_state_file(golden(file));
    for (RawTensor& tensor : state.tensors) tensor.name = prefix + tensor.name;
    return state;
  };
  for (const char* prefix : {"module.", "model.", "_orig_mod.", "module._orig_mod.", "clip."}) {
    CAPTURE(prefix);
    const Checkpoint clip = import_files({wrapped("openai_clip_vit/small_jit.pt", prefix)});
    CHECK(clip.tensors.size() == 74);
    CHECK(clip.find("visual.proj"));
    const Checkpoint dvae = import_files({wrapped("openai_dvae/encoder_legacy.pkl", prefix),
                                          wrapped("openai_dvae/decoder_legacy.pkl", "module.")});
    CHECK(dvae.config.at("codes") == 512);
    CHECK(import_files({wrapped("rudalle_vqgan/vqgan_f8_dwt.ckpt", prefix)}).format == "rudalle-vqgan-dwt");
    CHECK(import_files({wrapped("rudalle/grid8_v2.bin", prefix)}, config_in("rudalle/grid8_v2_config.json"))
              .format == "rudalle");
  }
  // A prefix that not all share is no wrapper, but the message tells what is under it.
  StateFile mixed = wrapped("openai_clip_vit/small_jit.pt", "clip.");
  mixed.tensors.push_back(mixed.tensors.front());
  mixed.tensors.back().name = "loss.scale";
  const std::string message = refusal_of([&] { import_files({mixed}); });
  CHECK(has(message, "of no known model"));
  CHECK(has(message, "those under 'clip.' are of openai-clip"));

  ScratchDir scratch;
  Checkpoint native = open_checkpoint({golden("openai_clip_vit/small_jit.pt")});
  std::vector<PartTensor> tensors;
  for (const RawTensor& tensor : native.tensors)
    tensors.push_back({"_orig_mod." + tensor.name, tensor.shape, tensor.dtype, tensor.bytes, {}});
  write_part_tensors(scratch / "compiled.safetensors", tensors, part_metadata("clip", native.config));
  CHECK(open_checkpoint({scratch / "compiled.safetensors"}).find("visual.proj"));
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

  CHECK(has(refusal({golden("rudalle/grid8_v2.bin")}), "add config with a preset"));
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

TEST_CASE("import: taming-transformers' VQGANs, which differ in how a code is chosen") {
  const auto vq = golden("taming_vqgan/vq.ckpt"), gumbel = golden("taming_vqgan/gumbel.ckpt");
  const Checkpoint nearest = open_checkpoint({vq}, config_in("taming_vqgan/vq_config.yaml"));
  CHECK(nearest.part == "dvae");
  CHECK(nearest.format == "taming-vqgan");
  CHECK(nearest.config.at("quantiser") == "nearest");
  CHECK(nearest.config.at("z_channels") == 16);
  CHECK(nearest.config.at("embed_dim") == 8);
  CHECK(nearest.config.at("n_embed") == 64);
  CHECK(nearest.find("quantize.embedding.weight"));
  for (const RawTensor& tensor : nearest.tensors) CHECK_FALSE(tensor.name.starts_with("loss."));
  const Checkpoint logits = open_checkpoint({gumbel}, config_in("taming_vqgan/gumbel_config.yaml"));
  CHECK(logits.format == "rudalle-vqgan");
  CHECK_FALSE(logits.config.contains("quantiser"));
  // The YAML of one is not the other's.
  CHECK(has(refusal({vq}, config_in("taming_vqgan/gumbel_config.yaml")),
            "says n_embed 80, but the file has 64"));
  CHECK(has(refusal({gumbel}, find_preset("taming-vqgan-f16-1024")->config),
            "says n_embed 1024, but the file has 80"));
  json other = config_in("taming_vqgan/vq_config.yaml");
  other["model"]["params"]["embed_dim"] = "8";
  CHECK(has(refusal({vq}, other), "says embed_dim \"8\", but the file has 8"));
}

TEST_CASE("import: DALLE-pytorch's file is a transformer and a dVAE") {
  const auto path = golden("dalle_pytorch/plain.pt");
  const Checkpoint transformer = open_checkpoint({path}, nullptr, "transformer");
  CHECK(transformer.format == "dalle-pytorch");
  CHECK(transformer.config.at("text_vocab") == 50);
  CHECK(transformer.config.at("grid") == 8);
  CHECK(transformer.config.at("schedule").at("list") == json({"dense", "axial_row", "column", "conv"}));
  CHECK(transformer.find("layers.3.attention.qkv.bias")->shape == std::vector<int64_t>{48});
  const Checkpoint dvae = open_checkpoint({path}, nullptr, "dvae");
  CHECK(dvae.format == "dalle-pytorch-vae");
  CHECK(dvae.config == json({{"kind", "discrete_vae"},
                             {"channels", 3},
                             {"hidden", 8},
                             {"codebook_dim", 12},
                             {"codes", 40},
                             {"layers", 2},
                             {"resnet_blocks", 1}}));
  CHECK(open_parts({path}, [](auto) { return json(); }).size() == 2);
  CHECK(has(refusal({path}, nullptr, "clip"), "it has 2 parts, none of them a clip"));
  CHECK(has(refusal({path}), "none of them a model that was asked for"));

  const StateFile whole = read_state_file(path);
  // OpenAI's dVAE or a VQGAN may stand in the place of its own.
  const auto with_dvae = [&](const std::vector<std::pair<std::string, std::string>>& prefixed) {
    StateFile file = whole;
    std::erase_if(file.tensors, [](const RawTensor& tensor) { return tensor.name.starts_with("vae."); });
    for (const auto& [prefix, name] : prefixed)
      for (RawTensor tensor : read_state_file(golden(name)).tensors) {
        tensor.name = "vae." + prefix + tensor.name;
        file.tensors.push_back(tensor);
      }
    std::vector<StateFile> parts = parts_in(std::move(file));
    parts.erase(parts.begin());
    return import_files(std::move(parts));
  };
  CHECK(with_dvae({{"enc.", "openai_dvae/encoder_legacy.pkl"}, {"dec.", "openai_dvae/decoder_legacy.pkl"}})
            .config.at("codes") == 512);
  CHECK(with_dvae({{"model.", "taming_vqgan/vq.ckpt"}}).format == "taming-vqgan");
  const auto refused = [&](const char* argument, const json& value) {
    StateFile file = whole;
    file.settings[std::string("hparams.") + argument] = value;
    return refusal_of([&] { import_files({parts_in(file).front()}); });
  };
  CHECK(has(refused("attn_types", {"full", "sparse"}), "attention of the type \"sparse\""));
  CHECK(has(refused("attn_types", json::array()), "'attn_types' cannot be []"));
  CHECK(has(refused("sparse_attn", true), "a transformer with 'sparse_attn', which is not supported"));
  CHECK(has(refused("stable", 3), "'stable' cannot be 3"));
  CHECK(has(refused("heads", 7), "48 rows of queries, keys and values are not those of 7 heads"));
  CHECK(has(refused("text_seq_len", 60), "60 text embeddings with one for each of 60 paddings"));
  CHECK(has(refused("heads", -2), "'heads' cannot be -2"));
  const auto without = [&](const std::string& name) {
    StateFile file = whole;
    std::erase_if(file.tensors, [&](const RawTensor& tensor) { return tensor.name == name; });
    return refusal_of([&] { import_files({parts_in(file).front()}); });
  };
  CHECK(has(without("text_emb.weight"), "tensor 'text_emb.weight' is missing"));
  CHECK(has(without("transformer.layers.layers.2.1.scale"), "tensor '1.scale' of layer 2 is missing"));
  StateFile stranger = whole;
  stranger.tensors.push_back(stranger.tensors.front());
  stranger.tensors.back().name = "a.stranger";
  CHECK(has(refusal_of([&] { import_files({parts_in(stranger).front()}); }),
            "1 tensors that this format does not have: a.stranger"));
}

TEST_CASE("import: DALLE-pytorch's rotary, reversible and sharing transformers") {
  const StateFile whole = read_state_file(golden("dalle_pytorch/reversible.pt"));
  const Checkpoint reversible = import_files({parts_in(whole).front()});
  CHECK(reversible.config.at("reversible") == true);
  CHECK(reversible.config.at("rotary_kind") == "dalle_pytorch");
  CHECK(reversible.config.at("grid") == 8);
  CHECK_FALSE(reversible.config.contains("head_width"));
  CHECK(reversible.find("text_position.weight")->shape == std::vector<int64_t>{11, 24});  // zeros
  const auto with_angles = [&](float more, const std::vector<int64_t>& shape) {
    StateFile file = parts_in(whole).front();
    std::vector<float> values;
    for (RawTensor& tensor : file.tensors) {
      if (tensor.name != "transformer.pos_emb") continue;
      values = to_floats(tensor);
      values.back() += more;
      tensor.bytes = std::as_bytes(std::span(values));
      tensor.shape = shape;
    }
    return refusal_of([&] { import_files({file}); });
  };
  CHECK(has(with_angles(0.1f, {1, 75, 12}), "those of another version of DALLE-pytorch"));
  CHECK(has(with_angles(0, {1, 25, 36}), "rotary positions of 14 cells, which are no square"));
  CHECK(has(with_angles(0, {450, 2}), "which are no square"));

  const Checkpoint shared =
      open_checkpoint({golden("dalle_pytorch/stable_shared.pt")}, nullptr, "transformer");
  CHECK(shared.config.at("layers") == 8);
  CHECK(shared.config.at("head_width") == 16);
  CHECK(shared.config.at("divide_by_max") == true);
  CHECK(shared.config.at("token_shift") == true);
  CHECK(shared.find("text_embedding.weight")->shape == std::vector<int64_t>{60, 20});
  CHECK(shared.find("image_embedding.weight")->shape == std::vector<int64_t>{64, 20});
  CHECK(to_floats(*shared.find("layers.0.mlp.up.weight")) ==
        to_floats(*shared.find("layers.6.mlp.up.weight")));
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
