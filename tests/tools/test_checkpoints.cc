// Checkpoints that people have, each from its file or folder to numbers or pictures in one command, and as a
// native copy.
#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/data/npy.h"
#include "core/image/png.h"
#include "core/io/atomic_file.h"
#include "rerank/results.h"
#include "tests/support/golden.h"
#include "tests/tools/program.h"
#include "tools/models/models.h"

namespace dalle1::test {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

bool has(const std::string& text, const std::string& part) {
  CAPTURE(text);
  return text.find(part) != text.npos;
}

std::string path(const std::string& name) { return golden(name).string(); }

/// A CLIP as Hugging Face's hub has it.
void make_hub_folder(const fs::path& folder) {
  fs::create_directories(folder);
  for (const char* name : {"config.json", "pytorch_model.bin"})
    fs::copy_file(golden(std::string("hf_clip/") + name), folder / name);
  fs::copy_file(golden("hf_clip_tokenizer/tokenizer.json"), folder / "tokenizer.json");
}

void check_close(const fs::path& file, const std::string& expected) {
  const auto found = read_npy(file).to_f32(), wanted = read_npy(golden(expected)).to_f32();
  REQUIRE(found.size() == wanted.size());
  for (size_t i = 0; i < found.size(); ++i)
    REQUIRE(std::abs(found[i] - wanted[i]) <= 1e-4 + 1e-4 * std::abs(wanted[i]));
}

const std::vector<std::string> kPictures{"land300x200", "port97x181", "small24", "gray131x130"};

std::vector<std::string> with_pictures(std::vector<std::string> arguments) {
  for (const auto& name : kPictures) arguments.push_back(path("openai_clip_vit/" + name + ".png"));
  return arguments;
}

// YTTM's text form without rules. "abc" is 32 33 21 43: a mark of the word's beginning, three characters.
void write_letters(const fs::path& file) {
  std::map<int, int> characters{{32, 0x2581}, {33, 'a'}, {21, 'b'}, {43, 'c'}};
  for (int id = 4; id < 50; ++id) characters.try_emplace(id, 0x400 + id);
  std::string text = fmt::format("{} 0\n", characters.size());
  for (const auto& [id, character] : characters) text += fmt::format("{} {}\n", character, id);
  write_file_atomically(file, text + "1 0 2 3\n");
}

}  // namespace

TEST_CASE(
    "Hugging Face's CLIP: a hub's folder embeds texts and pictures as its library, and as a native copy") {
  ScratchDir scratch;
  const auto folder = scratch / "hub", copy = scratch / "copy", out = scratch / "features.npy";
  make_hub_folder(folder);
  const auto converted = run_program({"convert", folder.string(), "--out", copy.string()});
  CAPTURE(converted.err);
  REQUIRE(converted.exit_code == 0);
  std::ifstream file(golden("hf_clip/texts.json"));
  const auto texts = json::parse(file).get<std::vector<std::string>>();
  for (const auto& clip : {folder, copy}) {
    CAPTURE(clip.string());
    std::vector<std::string> arguments{"embed", "--quiet", "--clip", clip.string(), "--out", out.string()};
    for (const auto& text : texts) arguments.insert(arguments.end(), {"--text", text});
    REQUIRE(run_program(arguments).exit_code == 0);
    check_close(out, "hf_clip/hf_text_features.npy");
    REQUIRE(run_program(with_pictures({"embed", "--quiet", "--clip", clip.string(), "--out", out.string()}))
                .exit_code == 0);
    check_close(out, "hf_clip/hf_image_features.npy");
    const auto ranked = run_program(with_pictures({"rank", "--quiet", "--json", "--clip", clip.string(),
                                                   "--prompt", "a red circle above a blue square"}));
    REQUIRE(ranked.exit_code == 0);
    const auto logits = read_npy(golden("hf_clip/hf_logits_per_image.npy")).to_f32();  // [4, 5]
    for (const auto& row : json::parse(ranked.out)["pictures"])
      for (size_t i = 0; i < kPictures.size(); ++i)
        if (has(row["picture"], kPictures[i]))
          CHECK(row["logit"].get<float>() == doctest::Approx(logits[5 * i]).epsilon(1e-3));
  }
  const auto info = run_program({"info", "--json", folder.string()});
  REQUIRE(info.exit_code == 0);
  const auto document = json::parse(info.out);
  CHECK(document["parts"][0]["format"] == "hf-clip");
  CHECK(document["clip_tokenizer"]["kind"] == "hf_clip_bpe");
  CHECK(document["files"].size() == 3);
}

TEST_CASE("Hugging Face's CLIP: parts that do not belong together are refused with both numbers") {
  ScratchDir scratch;
  const auto folder = scratch / "hub";
  make_hub_folder(folder);
  const auto rank = [&] {
    const auto result =
        run_program(with_pictures({"rank", "--quiet", "--clip", folder.string(), "--prompt", "a dog"}));
    CHECK(result.exit_code == 4);
    return result.error_line();
  };
  json config;
  std::ifstream(folder / "config.json") >> config;
  json other = config;
  other["vision_config"]["hidden_size"] = other["vision_config_dict"]["hidden_size"] = 768;
  write_file_atomically(folder / "config.json", other.dump());
  CHECK(has(rank(), "says vision_width 768, but the file has 64"));
  other = config;
  other["text_config"]["eos_token_id"] = other["text_config_dict"]["eos_token_id"] = 7;
  write_file_atomically(folder / "config.json", other.dump());
  CHECK(has(rank(), "ends texts with 1113 and CLIP expects 7"));
  write_file_atomically(folder / "config.json", config.dump());
  fs::remove(folder / "tokenizer.json");  // the tokenizer of all published CLIPs, then
  CHECK(has(rank(), "CLIP's tokenizer has 49408 tokens and CLIP takes 1114"));
}

TEST_CASE("taming-transformers' VQGAN: encodes and decodes out of its checkpoint, and as a native copy") {
  ScratchDir scratch;
  const auto copy = (scratch / "copy").string(), tokens = (scratch / "tokens.npy").string();
  REQUIRE(run_program({"convert", path("taming_vqgan/vq.ckpt"), "--config",
                       path("taming_vqgan/vq_config.yaml"), "--out", copy})
              .exit_code == 0);
  for (const std::string& dvae : {path("taming_vqgan/vq.ckpt"), copy}) {
    CAPTURE(dvae);
    REQUIRE(run_program({"encode", "--quiet", path("taming_vqgan/vq.png"), "--dvae", dvae, "--out", tokens})
                .exit_code == 0);
    CHECK(read_npy(tokens).to_i64() == read_npy(golden("taming_vqgan/vq_indices.npy")).to_i64());
    const auto picture = (scratch / "decoded.png").string();
    REQUIRE(run_program({"decode", "--quiet", tokens, "--dvae", dvae, "--out", picture}).exit_code == 0);
    const Image decoded = read_image(picture);
    const auto expected = read_npy(golden("taming_vqgan/vq_decoded.npy")).to_f32();  // [2, 3, 48, 48]
    for (int y = 0; y < decoded.height; ++y)
      for (int x = 0; x < decoded.width; ++x)
        for (int c = 0; c < 3; ++c)
          REQUIRE(std::abs(decoded.at(x, y)[c] - 255.0f * expected[(c * 48 + y) * 48 + x]) <= 1.0f);
    fs::remove(picture);
    fs::remove(tokens);
  }
  const auto wrong =
      run_program({"encode", path("taming_vqgan/vq.png"), "--dvae", path("taming_vqgan/vq.ckpt"), "--config",
                   "taming-vqgan-f16-1024", "--out", tokens});
  CHECK(wrong.exit_code == 4);
  CHECK(has(wrong.error_line(), "says n_embed 1024, but the file has 64"));
}

TEST_CASE("DALLE-pytorch: one file draws, completes and is converted") {
  ScratchDir scratch;
  const auto file = path("dalle_pytorch/plain.pt"), copy = (scratch / "copy").string(),
             out = (scratch / "out").string();
  // Its tokenizer is not in it, and has other ids than any that is here: a small one in its place.
  const auto no_tokenizer =
      run_program({"sample", "--model", file, "--prompt", "a", "--scorer", "likelihood", "--out", out});
  CHECK(no_tokenizer.exit_code == 4);
  CHECK(has(no_tokenizer.error_line(), "--tokenizer"));
  const auto too_large = run_program({"sample", "--model", file, "--tokenizer", path("yttm/bpe.model"),
                                      "--prompt", "a", "--scorer", "likelihood", "--out", out});
  CHECK(too_large.exit_code == 4);
  CHECK(has(too_large.error_line(), "tokens and the transformer takes 50"));

  REQUIRE(run_program({"convert", file, "--out", copy}).exit_code == 0);
  const auto info = run_program({"info", "--json", file});
  REQUIRE(info.exit_code == 0);
  CHECK(json::parse(info.out)["parts"].size() == 2);
  // The same tokens from both, greedily, and those of the library.
  const auto ids = (scratch / "ids.npy").string(), tokens = (scratch / "tokens.npy").string();
  fs::copy_file(golden("dalle_pytorch/plain_text.npy"), ids);
  const auto expected = read_npy(golden("dalle_pytorch/plain_greedy.npy"));
  for (const std::string& model : {file, copy}) {
    CAPTURE(model);
    const auto greedy = run_program(
        {"logits", "--quiet", "--model", model, "--ids", ids, "--greedy", "64", "--tokens-out", tokens});
    CAPTURE(greedy.err);
    REQUIRE(greedy.exit_code == 0);
    const auto found = read_npy(tokens);
    const auto values = found.to_i64(), wanted = expected.to_i64();
    const int64_t length = found.shape[1];
    for (int64_t row = 0; row < 2; ++row)
      for (int64_t cell = 0; cell < 64; ++cell)
        REQUIRE(values[row * length + length - 64 + cell] == wanted[row * 74 + 10 + cell]);
    fs::remove(tokens);
    REQUIRE(run_program({"decode", "--quiet", path("dalle_pytorch/plain_image_tokens.npy"), "--dvae", model,
                         "--out", (scratch / "picture.png").string()})
                .exit_code == 0);
  }
}

TEST_CASE("DALLE-pytorch: a prompt is drawn as its code draws it, from its file and from a native copy") {
  ScratchDir scratch;
  const auto file = path("dalle_pytorch/stable_shared.pt"), copy = (scratch / "copy").string(),
             letters = (scratch / "bpe.model").string(), ids = (scratch / "ids.npy").string();
  write_letters(letters);
  fs::copy_file(golden("dalle_pytorch/stable_shared_text.npy"), ids);
  REQUIRE(run_program({"convert", file, letters, "--out", copy}).exit_code == 0);
  const auto info = run_program({"info", file});
  for (const char* part : {"transformer (dalle-pytorch)", "dvae (dalle-pytorch-vae)", "token_shift = true",
                           "rotary_kind = dalle_pytorch", "divide_by_max = true", "head_width = 16"})
    CHECK(has(info.out, part));
  const auto greedy = read_npy(golden("dalle_pytorch/stable_shared_greedy.npy")).to_i64();
  const std::vector<int64_t> expected(greedy.begin() + 10, greedy.begin() + 74);
  write_npy(scratch / "grid.npy", {1, 8, 8}, expected);
  const auto picture = (scratch / "picture.png").string();
  REQUIRE(
      run_program({"decode", (scratch / "grid.npy").string(), "--dvae", file, "--out", picture}).exit_code ==
      0);
  std::vector<std::vector<float>> logits;
  for (const bool native : {false, true}) {
    CAPTURE(native);
    const fs::path out = scratch / (native ? "native" : "published");
    std::vector<std::string> arguments{
        "sample",       "--model", native ? copy : file, "--prompt", "abc",   "--scorer",  "likelihood",
        "--candidates", "1",       "--temperature",      "0",        "--out", out.string()};
    if (!native) arguments.insert(arguments.end(), {"--tokenizer", letters});
    const auto drawn = run_program(arguments);
    REQUIRE_MESSAGE(drawn.exit_code == 0, drawn.err);
    const auto row = rerank::read_results(out / "results.jsonl").at(0);
    CHECK(std::vector<int64_t>(row.tokens.begin(), row.tokens.end()) == expected);
    const Image image = read_image(out / row.file);
    CHECK(image.width == 64);
    CHECK(image.pixels == read_image(picture).pixels);
    const auto values = (out / "logits.npy").string();
    REQUIRE(
        run_program({"logits", "--model", native ? copy : file, "--ids", ids, "--out", values}).exit_code ==
        0);
    logits.push_back(read_npy(values).to_f32());
  }
  CHECK(logits[0] == logits[1]);
}

TEST_CASE("DALLE-pytorch: the tokenizer of Chinese is refused by name") {
  weights::Checkpoint transformer;
  transformer.format = "dalle-pytorch";
  transformer.source = "dalle.pt";
  transformer.config = {{"text_vocab", 21128}};
  CHECK_THROWS_WITH_AS(
      tools::open_text_tokenizer({}, transformer),
      "dalle.pt: its 21128 text tokens are those of ChineseTokenizer (bert-base-chinese), which "
      "is not supported",
      Error);
}

}  // namespace dalle1::test
