// Captions of a training set by a captioner, and a transformer that is trained on them: through the program.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <fstream>

#include "core/train/metrics.h"
#include "tests/tools/run_files.h"
#include "tests/tools/trained_captioner.h"

using namespace dalle1;
using nlohmann::json;
using test::content_of;
using test::kCaptions;
using test::kPictures;
using test::ScratchDir;
using test::trained_captioner;
namespace fs = std::filesystem;

namespace {

test::ProgramResult recaption(const std::string& data, const std::string& out,
                              const std::vector<std::string>& more = {},
                              const fs::path& model = test::shallow_model()) {
  std::vector<std::string> arguments{"recaption",   "--quiet",
                                     "--model",     model.string(),
                                     "--captioner", trained_captioner().captioner(),
                                     "--data",      data,
                                     "--out",       out};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return test::run_program(arguments);
}

void refused(const test::ProgramResult& result, int exit_code, const std::string& what) {
  CAPTURE(result.err);
  CHECK(result.exit_code == exit_code);
  CHECK(result.error_line().find(what) != std::string::npos);
}

std::vector<json> lines_of(const fs::path& path) {
  std::vector<json> rows;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) rows.push_back(json::parse(line));
  return rows;
}

// The pictures in turn, with captions of no worth, as many as asked; number 3 cannot be read.
std::string worthless_data(const fs::path& folder, int count) {
  fs::create_directories(folder);
  std::ofstream captions(folder / "captions.jsonl");
  for (int i = 0; i < count; ++i) {
    const auto name = fmt::format("{:02}.png", i);
    if (i == 3)
      std::ofstream(folder / name) << "no picture";
    else
      fs::copy_file(trained_captioner().pictures[static_cast<size_t>(i % kPictures)], folder / name);
    captions << json{{"image", name}, {"caption", fmt::format("IMG_{}.jpg", i)}}.dump() << "\n";
  }
  return folder.string();
}

}  // namespace

TEST_CASE("recaption writes a line of each picture in the data's order, past broken ones, as data again") {
  ScratchDir scratch;
  const auto data = worthless_data(scratch / "data", 40);
  const auto result = recaption(data, (scratch / "captions.jsonl").string(), {"--json", "--max-bad", "0.1"});
  REQUIRE_MESSAGE(result.exit_code == 0, result.err);
  const auto summary = json::parse(result.out);
  CHECK(summary["captions"] == 39);
  CHECK(summary["broken_pictures"] == 1);
  CHECK(summary["style"] == "plain");
  const auto rows = lines_of(scratch / "captions.jsonl");
  REQUIRE(rows.size() == 39);
  for (int i = 0; i < 39; ++i) {
    const int picture = i < 3 ? i : i + 1;
    CHECK(rows[static_cast<size_t>(i)] == json{{"image", fmt::format("data/{:02}.png", picture)},
                                               {"caption", kCaptions[picture % kPictures]},
                                               {"original", fmt::format("IMG_{}.jpg", picture)}});
  }
  // Itself a set of training data, with paths that hold where it lies.
  fs::remove(scratch / "data" / "captions.jsonl");
  const auto again = recaption((scratch / "captions.jsonl").string(), (scratch / "again.jsonl").string());
  CHECK(again.exit_code == 0);
  CHECK(lines_of(scratch / "again.jsonl")[5]["original"] == kCaptions[6]);
}

TEST_CASE("recaption: cut at any batch and resumed writes the same file, and refuses other options by name") {
  ScratchDir scratch;
  const auto data = worthless_data(scratch / "data", 40);
  const auto at = [&](const char* name) { return (scratch / name).string(); };
  const std::vector<std::string> drawn = {"--max-bad", "0.1", "--temperature", "2", "--seed", "3"};
  const auto resumed = [&](const char* name, std::vector<std::string> options) {
    options.push_back("--resume");
    return recaption(data, at(name), options);
  };
  REQUIRE(recaption(data, at("whole.jsonl"), drawn).exit_code == 0);
  REQUIRE(resumed("cut.jsonl", drawn).exit_code == 0);  // starts where nothing is
  const auto whole = content_of(scratch / "whole.jsonl");
  CHECK(content_of(scratch / "cut.jsonl") == whole);
  CHECK(whole.find(kCaptions[0]) == std::string::npos);  // drawn ones differ from the likeliest

  // Killed after its first batch, in the middle of the line of the second.
  const auto rows = lines_of(scratch / "whole.jsonl");
  json settings = lines_of(scratch / "whole.jsonl.progress")[0];
  settings.erase("captions");
  settings.erase("broken");
  json first = {{"next", 16}, {"broken", 1}, {"lines", json::array()}};
  for (int i = 0; i < 15; ++i) first["lines"].push_back(rows[static_cast<size_t>(i)]);
  fs::remove(scratch / "cut.jsonl");
  std::ofstream(at("cut.jsonl.progress")) << settings.dump() << "\n"
                                          << first.dump() << "\n{\"next\": 32, \"bro";
  refused(recaption(data, at("cut.jsonl"), drawn), 2, "cut.jsonl.progress is there already");
  auto other = drawn;
  other.back() = "4";
  refused(resumed("cut.jsonl", other), 2, "'seed' was 3 in");
  const auto finished = resumed("cut.jsonl", drawn);
  REQUIRE_MESSAGE(finished.exit_code == 0, finished.err);
  CHECK(lines_of(scratch / "cut.jsonl") == rows);

  // What is complete stays; --overwrite begins anew.
  const auto time = fs::last_write_time(scratch / "cut.jsonl");
  CHECK(resumed("cut.jsonl", drawn).exit_code == 0);
  CHECK(fs::last_write_time(scratch / "cut.jsonl") == time);
  refused(recaption(data, at("cut.jsonl"), drawn), 2, "cut.jsonl is there already");
  CHECK(recaption(data, at("cut.jsonl"), {"--max-bad", "0.1", "--overwrite"}).exit_code == 0);
  CHECK(lines_of(scratch / "cut.jsonl")[0]["caption"] == kCaptions[0]);
}

TEST_CASE("recaption refuses what it cannot work with in one line") {
  ScratchDir scratch;
  const auto out = (scratch / "captions.jsonl").string();
  fs::create_directories(scratch / "empty");
  refused(recaption((scratch / "empty").string(), out), 3, "holds no .png or .jpg pictures");
  refused(recaption((scratch / "absent").string(), out), 3, "no such file or folder");
  const auto data = trained_captioner().at("pictures");
  refused(recaption(data, out, {"--style", "descriptive"}), 2, "this captioner writes plain captions");
  refused(recaption(data, scratch.path().string()), 8, "is a folder");
  test::TinyModel other;
  other.layers = 4;
  other.blank = true;
  test::write_tiny_model(scratch / "other", other);
  refused(recaption(data, out, {}, scratch / "other"), 4, "codes of another dVAE");
  CHECK_FALSE(fs::exists(out));
  CHECK_FALSE(fs::exists(out + ".progress"));
}

TEST_CASE("train transformer --captions: resumed it is the uninterrupted run, and other data's are refused") {
  ScratchDir scratch;
  const auto at = [&](const char* name) { return (scratch / name).string(); };
  const auto& captioner = trained_captioner();
  REQUIRE(recaption(captioner.at("pictures"), at("captions.jsonl"), {"--temperature", "3"}).exit_code == 0);
  const json config = {{"layers", 1},
                       {"width", 32},
                       {"heads", 1},
                       {"text_length", 24},
                       {"text_vocab", 60},
                       {"grid", 8},
                       {"image_vocab", 32},
                       {"schedule", {{"kind", "dense"}}},
                       {"train",
                        {{"steps", 6},
                         {"batch", 4},
                         {"learning_rate", 1e-3},
                         {"validation", 2},
                         {"log_every", 1},
                         {"checkpoint_every", 3}}}};
  std::ofstream(at("transformer.json")) << config.dump();
  const auto train = [&](const char* out, const std::vector<std::string>& more) {
    std::vector<std::string> arguments{"train",
                                       "transformer",
                                       "--quiet",
                                       "--threads",
                                       "1",
                                       "--config",
                                       at("transformer.json"),
                                       "--data",
                                       captioner.at("shards"),
                                       "--tokenizer",
                                       (test::shallow_model() / "text.model").string(),
                                       "--out",
                                       at(out)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return test::run_program(arguments);
  };
  const auto parameters = [&](const char* run) {
    return content_of(scratch / run / "model/transformer.safetensors");
  };
  const std::vector<std::string> half = {"--captions", at("captions.jsonl"), "--mix", "0.5"};
  REQUIRE_MESSAGE(train("half", half).exit_code == 0, train("half", half).err);
  REQUIRE(train("none", {}).exit_code == 0);
  REQUIRE(train("all", {"--captions", at("captions.jsonl"), "--mix", "1"}).exit_code == 0);
  CHECK(parameters("half") != parameters("none"));
  CHECK(parameters("half") != parameters("all"));

  auto stopped = half;
  stopped.insert(stopped.end(), {"--max-minutes", "0.0000001"});
  REQUIRE(train("parts", stopped).exit_code == 0);
  CHECK(read_metrics(scratch / "parts/metrics.jsonl").size() < 6);
  auto resumed = half;
  resumed.push_back("--resume");
  refused(train("parts", {"--captions", at("captions.jsonl"), "--resume"}), 2, "/captions/mix");
  refused(train("parts", {"--resume"}), 2, "/captions");
  REQUIRE(train("parts", resumed).exit_code == 0);
  CHECK(parameters("parts") == parameters("half"));

  refused(train("bad", {"--mix", "0.5"}), 2, "--captions");
  refused(train("bad", {"--captions", at("captions.jsonl"), "--mix", "1.5"}), 2, "--mix");
  std::ofstream(at("short.jsonl")) << "{\"caption\": \"a cat\"}\n";
  refused(train("bad", {"--captions", at("short.jsonl")}), 3,
          "short.jsonl has 1 captions, and the shards have 8 pictures");
  auto text = content_of(scratch / "captions.jsonl");
  text.replace(text.find(kCaptions[0], text.find("original")), 5, "a fat");
  std::ofstream(at("other.jsonl")) << text;
  refused(train("bad", {"--captions", at("other.jsonl")}), 3,
          "other.jsonl, line 1: a caption in the place of");
}
