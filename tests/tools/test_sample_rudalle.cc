// dalle1 sample with the parts of a ru-dalle model: three published files become a model that draws.
#include <doctest/doctest.h>

#include <fstream>
#include <sstream>

#include "core/data/npy.h"
#include "core/image/png.h"
#include "core/io/atomic_file.h"
#include "rerank/results.h"
#include "tests/support/golden.h"
#include "tests/tools/program.h"
#include "tests/tools/run_files.h"
#include "weights/open.h"
#include "weights/part_file.h"

using namespace dalle1;
using test::golden;
using test::run_program;
using test::ScratchDir;
namespace fs = std::filesystem;

namespace {

// The golden parts are of several models; cut to the transformer's vocabularies they belong together.
constexpr int kTextVocab = 80, kCodes = 50, kTextLength = 12, kCells = 64;

// YTTM's text form: a line of counts, the characters, the rules, the special ids.
void write_small_tokenizer(const fs::path& path) {
  std::istringstream lines(test::content_of(golden("yttm/bpe.model")));
  int characters = 0, rules = 0;
  lines >> characters >> rules;
  const int kept = kTextVocab - characters - 4;
  std::string line, text = std::to_string(characters) + " " + std::to_string(kept) + "\n";
  std::getline(lines, line);
  for (int i = 0; i < characters + rules && std::getline(lines, line); ++i)
    if (i < characters + kept) text += line + "\n";
  std::getline(lines, line);
  write_file_atomically(path, text + line + "\n");
}

// The VQGAN with the first codes of its codebook only.
void write_small_vqgan(const fs::path& model, const fs::path& path) {
  const auto checkpoint = weights::open_checkpoint({model}, {}, "dvae");
  auto config = checkpoint.config;
  config["n_embed"] = kCodes;
  std::vector<weights::PartTensor> tensors;
  for (const auto& tensor : checkpoint.tensors) {
    const bool of_codes = tensor.name.rfind("quantize.", 0) == 0;
    auto shape = tensor.shape;
    const auto all = static_cast<int64_t>(tensor.bytes.size());
    const int64_t kept = of_codes ? all / shape[0] * kCodes : all;
    if (of_codes) shape[0] = kCodes;
    tensors.push_back({tensor.name, shape, tensor.dtype, tensor.bytes.first(static_cast<size_t>(kept)), {}});
  }
  weights::write_part_tensors(path, tensors, weights::part_metadata("dvae", config));
}

std::vector<int64_t> ids_of(const std::string& text, const fs::path& tokenizer) {
  const auto result = run_program({"tokenize", "--tokenizer", tokenizer.string(), "--print", text});
  REQUIRE_MESSAGE(result.exit_code == 0, result.err);
  std::istringstream numbers(result.out);
  std::vector<int64_t> ids;
  for (int64_t id; numbers >> id;) ids.push_back(id);
  return ids;
}

}  // namespace

TEST_CASE("sample with converted ru-dalle parts draws what logits and decode say") {
  ScratchDir scratch;
  const auto converted =
      run_program({"convert", golden("rudalle/grid8_v2.bin").string(),
                   golden("rudalle_vqgan/vqgan_f8_dwt.ckpt").string(), golden("yttm/bpe.model").string(),
                   "--config", "transformer=" + golden("rudalle/grid8_v2_config.json").string(), "--config",
                   "dvae=" + golden("rudalle_vqgan/vqgan_f8_dwt_config.yml").string(), "--out",
                   (scratch / "model").string()});
  REQUIRE_MESSAGE(converted.exit_code == 0, converted.err);
  write_small_tokenizer(scratch / "bpe.model");
  write_small_vqgan(scratch / "model", scratch / "vqgan.safetensors");

  const std::string prompt = "\xD0\xBA\xD0\xBE\xD1\x82";  // a cat, in Russian
  const auto sample = [&](const fs::path& out, std::vector<std::string> more) {
    std::vector<std::string> arguments = {"sample",
                                          "--model",
                                          (scratch / "model").string(),
                                          "--dvae",
                                          (scratch / "vqgan.safetensors").string(),
                                          "--tokenizer",
                                          (scratch / "bpe.model").string(),
                                          "--prompt",
                                          prompt,
                                          "--scorer",
                                          "likelihood",
                                          "--out",
                                          out.string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments);
  };
  const auto many = sample(scratch / "many", {"--candidates", "6", "--keep", "2"});
  REQUIRE_MESSAGE(many.exit_code == 0, many.err);
  CHECK(rerank::read_results(scratch / "many/results.jsonl").size() == 6);

  // Greedy tokens are those of the command that the golden tokens of the original code prove.
  const auto greedy = sample(scratch / "greedy", {"--candidates", "1", "--temperature", "0"});
  REQUIRE_MESSAGE(greedy.exit_code == 0, greedy.err);
  const auto row = rerank::read_results(scratch / "greedy/results.jsonl").at(0);
  std::vector<int64_t> text = {2};  // bos, the prompt, eos, padding
  for (const int64_t id : ids_of(prompt, scratch / "bpe.model")) text.push_back(id);
  text.push_back(3);
  REQUIRE(text.size() <= kTextLength);
  text.resize(kTextLength);
  write_npy(scratch / "ids.npy", {1, kTextLength}, text);
  const auto logits = run_program({"logits", "--transformer", (scratch / "model").string(), "--ids",
                                   (scratch / "ids.npy").string(), "--greedy", std::to_string(kCells),
                                   "--tokens-out", (scratch / "tokens.npy").string()});
  REQUIRE_MESSAGE(logits.exit_code == 0, logits.err);
  const auto expected = read_npy(scratch / "tokens.npy").to_i64();
  CHECK(std::vector<int64_t>(row.tokens.begin(), row.tokens.end()) == expected);

  // And its picture is what the golden decoder makes of them.
  write_npy(scratch / "grid.npy", {1, 8, 8}, expected);
  const auto decoded =
      run_program({"decode", (scratch / "grid.npy").string(), "--dvae",
                   (scratch / "vqgan.safetensors").string(), "--out", (scratch / "picture.png").string()});
  REQUIRE_MESSAGE(decoded.exit_code == 0, decoded.err);
  const auto picture = read_image(scratch / "greedy" / row.file);
  CHECK(picture.width == 128);
  CHECK(picture.pixels == read_image(scratch / "picture.png").pixels);
}

TEST_CASE("parts that do not belong together are refused before work starts") {
  ScratchDir scratch;
  const auto converted =
      run_program({"convert", golden("rudalle/grid8_v2.bin").string(),
                   golden("rudalle_vqgan/vqgan_f8_dwt.ckpt").string(), golden("yttm/bpe.model").string(),
                   "--config", "transformer=" + golden("rudalle/grid8_v2_config.json").string(), "--config",
                   "dvae=" + golden("rudalle_vqgan/vqgan_f8_dwt_config.yml").string(), "--out",
                   (scratch / "model").string()});
  REQUIRE_MESSAGE(converted.exit_code == 0, converted.err);
  write_small_tokenizer(scratch / "bpe.model");
  const auto refused = [&](std::vector<std::string> more, const std::string& part) {
    std::vector<std::string> arguments = {"sample",     "--model", (scratch / "model").string(),
                                          "--prompt",   "x",       "--scorer",
                                          "likelihood", "--out",   (scratch / "out").string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const auto result = run_program(arguments);
    CHECK(result.exit_code == 4);
    CHECK_MESSAGE(result.error_line().find(part) != std::string::npos, result.err);
    CHECK_FALSE(fs::exists(scratch / "out"));
  };
  refused({}, "the tokenizer has 400 tokens and the transformer takes 80");
  refused({"--tokenizer", (scratch / "bpe.model").string()},
          "the dVAE has 96 codes and the transformer draws 50");
}
