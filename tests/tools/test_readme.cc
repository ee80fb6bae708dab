// Every command of the README runs: with small numbers and a tiny model in place of its own, and where it
// needs files that only its reader has, up to the point where it misses them.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <regex>
#include <sstream>

#include "core/image/png.h"
#include "core/io/atomic_file.h"
#include "core/random/philox.h"
#include "tests/support/golden.h"
#include "tests/tools/run_files.h"
#include "tests/tools/tiny_model.h"

using namespace dalle1;
namespace fs = std::filesystem;

namespace {

struct Rule {
  const char* pattern;
  const char* meaning;
};

// What is put in place of the README's words, in this order.
const Rule kSmaller[] = {
    {"--candidates \\d+", "--candidates 2"},
    {"--keep \\d+", "--keep 1"},
    {"--keep-rows \\d+", "--keep-rows 4"},
    {"--depths [\\d,]+", "--depths 2,4"},
    {"--region x,y,w,h", "--region 8,8,24,24"},
    {"--prompts weights/default/prompts\\.txt", "--prompts weights/default/prompts.txt --truncate"},
    {"--prompt (T|\"[^\"]*\")", "--prompt \"a red cat\""},
    {"--text T", "--text \"a red cat\""},
    {"--image (F|picture\\.png)", "--image picture.png"},
    {"--mask PNG", "--mask mask.png"},
    {"--out F", "--out features.npy"},
    {"--out data --count \\d+", "--out made --count 2 --val-count 1 --prompts 1"},
    {"bench decode .*",
     "bench decode --layers 2 --width 64 --heads 1 --text 8 --grid 4 --vocab 64 --candidates 2"},
    {"bench clip .*", "bench clip --config tiny_clip.json --batch 1 --threads 2"},
    {"bench (ops|clip|train|dvae)", "bench $1 --seconds 0.01"},
    {"bench ops", "bench ops --only attention"},
    {"bench dvae", "bench dvae --config tiny_dvae.json --size 64"},
    {"bench train", "bench train --layers 1 --width 64 --heads 1 --text 8 --grid 4 --vocab 64 --batch 1"},
};

// Needs what a reader has and this test has not: every `dalle1` in it must get as far as missing its files.
const char* const kMissesFiles[] = {"encoder\\.pkl",           "\\.ckpt",    "ViT-B-32\\.pt",    "open_clip",
                                    "epoch_32\\.pt",           "hub_folder", "last\\.ckpt",      "dalle\\.pt",
                                    "^dalle1 sample --model ", "runs/",      "^tools/train/.*sh"};

// Not run here, and where it runs.
const Rule kElsewhere[] = {
    {"^tools/test\\.sh$", ".ci/run, its last stage"},
    {"^apt-get ", "needs the network"},
};

std::string trimmed(const std::string& text) {
  const auto begin = text.find_first_not_of(' ');
  return begin == text.npos ? "" : text.substr(begin, text.find_last_not_of(' ') + 1 - begin);
}

// The lines of indented blocks that are commands, and pieces of inline code that begin with the program's
// name.
std::vector<std::string> commands_of(const std::string& readme) {
  std::vector<std::string> commands;
  std::istringstream lines(readme);
  std::string line, code;
  const std::regex begins("^(dalle1|tools/|tests/|apt-get ).*"), inline_code("`(dalle1\\s[^`]*)`"),
      spaces("\\s+");
  while (std::getline(lines, line)) {
    if (line.rfind("    ", 0) != 0) continue;
    code += trimmed(line);
    if (!code.empty() && code.back() == '\\') {
      code.back() = ' ';
      continue;
    }
    code = trimmed(code.substr(0, code.find("  #")));
    if (std::regex_match(code, begins)) commands.push_back(std::regex_replace(code, spaces, " "));
    code.clear();
  }
  for (auto i = std::sregex_iterator(readme.begin(), readme.end(), inline_code); i != std::sregex_iterator();
       ++i)
    commands.push_back(std::regex_replace((*i)[1].str(), spaces, " "));
  return commands;
}

bool matches_any(const std::string& command, const auto& patterns) {
  for (const auto* pattern : patterns)
    if (std::regex_search(command, std::regex(pattern))) return true;
  return false;
}

void write_script(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  write_file_atomically(path, "#!/bin/bash\n" + text);
  chmod(path.c_str(), 0755);
}

// A checkout in small: its tools, two pictures, and in place of the built program one that draws fewer
// candidates.
class Checkout {
 public:
  Checkout() {
    for (const char* name : {"tools", "tests", "weights"})
      fs::create_symlink(source() / name, folder_ / name);
    RandomStream random(3, Stream::test);
    for (const char* name : {"picture.png", "photo.png", "mask.png"}) {
      Image picture(64, 64, 3);
      for (auto& value : picture.pixels) value = static_cast<uint8_t>(random.below(256));
      write_png(folder_ / name, picture);
    }
    write_file_atomically(folder_ / "tiny_dvae.json", "{\"kind\": \"openai\", \"hidden\": 8, \"codes\": 32}");
    write_file_atomically(
        folder_ / "tiny_clip.json",
        "{\"embed_dim\": 16, \"image_resolution\": 32, \"vision_layers\": 1, \"vision_width\": 64, "
        "\"vision_patch_size\": 16, \"context_length\": 8, \"vocab_size\": 96, "
        "\"transformer_width\": 64, \"transformer_heads\": 1, \"transformer_layers\": 1}");
    fs::create_directories(folder_ / "data/train");
    write_file_atomically(folder_ / "data/train/captions.jsonl",
                          R"({"image": "missing.png", "caption": "a red cat", "kind": "shape"})");
    // Scripts call the program from where it is built; MISSES: it may, and must, miss its input files.
    const auto program = fmt::format(
        "{} \"${{@/#512/2}}\"; code=$?\n"
        "if [ -n \"$MISSES\" ]; then [ $code = 3 ] || [ $code = 4 ]; exit; fi\nexit $code\n",
        DALLE1_PROGRAM);
    write_script(folder_ / "build/release/tools/dalle1", program);
    // Nothing is installed or compiled here.
    write_script(folder_ / "bin/cmake", "");
    write_script(folder_ / "bin/dpkg-query", "echo install ok installed\n");
  }

  static fs::path source() { return DALLE1_SOURCE_DIR; }

  // What the command prints, where it fails; empty where it does not.
  std::string run(const std::string& command, bool misses_files) const {
    const auto script = fmt::format(
        "cd {0} && export PATH={0}/bin:{0}/build/release/tools:$PATH DALLE1_MODEL={1} DALLE1_THREADS=1 "
        "MISSES={2}\n{3}\n",
        folder_.path().string(), test::tiny_model().string(), misses_files ? "yes" : "", command);
    write_file_atomically(folder_ / "script", script);
    fs::remove_all(folder_ / "dalle1-out");  // where all `sample` without --out draw
    const auto log = (folder_ / "log").string();
    const int status =
        std::system(fmt::format("bash {} > {} 2>&1", (folder_ / "script").string(), log).c_str());
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? "" : test::content_of(log) + "failed";
  }

 private:
  test::ScratchDir folder_;
};

}  // namespace

TEST_CASE("every command of the README runs") {
  const auto commands = commands_of(test::content_of(Checkout::source() / "README.md"));
  REQUIRE(commands.size() > 25);
  const Checkout checkout;
  const std::regex name_only("dalle1( [a-z]+)+");
  for (const auto& command : commands) {
    std::string run = command;
    bool elsewhere = false;
    for (const auto& rule : kElsewhere)
      elsewhere = elsewhere || std::regex_search(run, std::regex(rule.pattern));
    if (elsewhere) continue;
    if (std::regex_match(run, name_only)) run += " --help";
    const bool misses_files = matches_any(run, kMissesFiles);
    for (const auto& rule : kSmaller) run = std::regex_replace(run, std::regex(rule.pattern), rule.meaning);
    const auto problem = checkout.run(run, misses_files);
    CHECK_MESSAGE(problem.empty(), command << "\nrun as: " << run << "\n" << problem);
  }
}

TEST_CASE("a command that does not parse is found") {
  const Checkout checkout;
  CHECK(checkout.run("dalle1 sample --prompt \"a red cat\" --candidtes 2", false) != "");
  CHECK(checkout.run("dalle1 rank --clip absent.pt --promt \"a dog\" *.png", true) != "");
  CHECK(checkout.run("dalle1 rank --clip absent.pt --prompt \"a dog\" *.png", true) == "");
  CHECK(checkout.run("dalle1 info", true) != "");  // it misses nothing
  CHECK(commands_of("text `dalle1\na` and `b`\n\n    dalle1 c \\\n      d   # e\n    other\n") ==
        std::vector<std::string>{"dalle1 c d", "dalle1 a"});
}

TEST_CASE("links between the documents lead somewhere") {
  const auto source = Checkout::source();
  const std::regex link("\\]\\(([^)]+)\\)");
  for (const char* name : {"README.md", "CONTRIBUTING.md", "weights/default/README.md",
                           "tools/data/README.md", "tests/reference/README.md", "tests/bench/cpu_notes.md",
                           "tests/bench/cuda_notes.md", "tests/bench/ablation/README.md"}) {
    const auto text = test::content_of(source / name);
    for (auto i = std::sregex_iterator(text.begin(), text.end(), link); i != std::sregex_iterator(); ++i) {
      std::string target = (*i)[1];
      if (target.rfind("http", 0) == 0) continue;
      std::string heading;
      if (const auto hash = target.find('#'); hash != target.npos) {
        heading = target.substr(hash + 1);
        target.resize(hash);
      }
      const auto file = target.empty() ? source / name : (source / name).parent_path() / target;
      CHECK_MESSAGE(fs::exists(file), name << ": " << (*i)[1]);
      if (heading.empty()) continue;
      std::string words = heading;
      std::replace(words.begin(), words.end(), '-', ' ');
      const std::regex title("#+ " + words, std::regex::icase);
      CHECK_MESSAGE(std::regex_search(test::content_of(file), title), name << ": " << (*i)[1]);
    }
  }
}
