// The include graph of CONTRIBUTING.md, checked by reading the sources.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>

namespace dalle1::test {
namespace {

namespace fs = std::filesystem;

const fs::path kRoot = DALLE1_SOURCE_DIR;

bool is_source(const fs::path& path) {
  static const std::set<std::string> suffixes{".h", ".cc", ".cu", ".cuh", ".inc"};
  return suffixes.count(path.extension().string()) > 0;
}

template <typename Visit>
void for_each_line(const std::string& folder, const Visit& visit) {
  REQUIRE(fs::exists(kRoot / folder));
  for (const auto& entry : fs::recursive_directory_iterator(kRoot / folder)) {
    if (!entry.is_regular_file() || !is_source(entry.path())) continue;
    std::ifstream in(entry.path());
    for (std::string line; std::getline(in, line);) visit(fs::relative(entry.path(), kRoot).string(), line);
  }
}

void check_folder(const std::string& folder, const std::set<std::string>& allowed) {
  // In quotes any folder is ours; in angle brackets a library's may stand.
  static const std::regex include(
      R"re(^\s*#\s*include\s*(?:"|<(?=(?:core|weights|dvae|transformer|clip|rerank|tools|tests)/))([a-z0-9_]+)/)re");
  for_each_line(folder, [&](const std::string& file, const std::string& line) {
    std::smatch match;
    if (!std::regex_search(line, match, include)) return;
    const std::string target = match[1];
    if (!allowed.count(target))
      FAIL(file << " includes " << target << "/, which its layer may not: " << line);
  });
}

}  // namespace

TEST_CASE("folders include only what the architecture allows") {
  check_folder("core", {"core"});
  check_folder("weights", {"core", "weights"});
  for (const std::string model : {"dvae", "transformer", "clip"})
    check_folder(model, {"core", "weights", model});
  check_folder("rerank", {"core", "weights", "dvae", "transformer", "clip", "rerank"});
}

TEST_CASE("layers inside core") {
  static const std::regex include(R"re(^\s*#\s*include\s*["<]core/([a-z0-9_]+)/)re");
  const std::vector<std::pair<std::string, std::set<std::string>>> allowed{
      {"random", {}},
      {"io", {}},
      {"attention", {}},
      {"tensor", {}},
      {"text", {"io", "random"}},
      {"config", {"text"}},
      {"image", {"io", "text"}},
      {"data", {"random", "io", "tensor", "text", "image"}},
      {"kernels", {"random", "attention", "tensor"}},
      {"comm", {"tensor", "kernels"}},
      {"cpu", {"random", "attention", "tensor", "kernels"}},
      {"cuda", {"random", "attention", "tensor", "kernels"}},
      {"grad", {"tensor", "kernels"}},
      {"ops", {"random", "attention", "tensor", "kernels", "grad"}},
      {"nn", {"random", "attention", "tensor", "grad", "ops"}},
      {"train",
       {"random", "io", "tensor", "config", "image", "data", "kernels", "comm", "grad", "ops", "nn"}}};
  std::set<std::string> below;
  for (const auto& [part, targets] : allowed) {
    // A part may look down only, so no two can include each other.
    for (const auto& target : targets) CHECK_MESSAGE(below.count(target), part << " looks up at " << target);
    below.insert(part);
    for_each_line("core/" + part,
                  [&, &part = part, &targets = targets](const std::string& file, const std::string& line) {
                    std::smatch match;
                    if (!std::regex_search(line, match, include) || match[1] == part) return;
                    if (!targets.count(match[1]))
                      FAIL(file << " includes core/" << match[1] << "/, which its layer may not");
                  });
  }
  for (const auto& entry : fs::directory_iterator(kRoot / "core"))
    if (entry.is_directory()) CHECK_MESSAGE(below.count(entry.path().filename().string()), entry.path());
}

TEST_CASE("rooms of tools") {
  static const std::regex include(R"re(^\s*#\s*include\s*["<]tools/([a-z0-9_]+)/)re");
  const std::map<std::string, std::set<std::string>> allowed{
      {"program", {}},
      {"models", {"program"}},
      {"commands", {"program", "models"}},
      {"draw", {"program", "models"}},
      {"bench", {"program", "models"}},
      {"serve", {"program", "models"}},
      {"train", {"program", "models"}},
      {"study", {"program", "models", "train"}},
      {"eval", {"program", "models", "train", "draw"}}};
  for (const auto& [room, targets] : allowed) {
    for_each_line("tools/" + room,
                  [&, &room = room, &targets = targets](const std::string& file, const std::string& line) {
                    std::smatch match;
                    if (!std::regex_search(line, match, include) || match[1] == room) return;
                    if (!targets.count(match[1]))
                      FAIL(file << " includes tools/" << match[1] << "/, which its room may not");
                  });
    const auto files = std::count_if(fs::directory_iterator(kRoot / "tools" / room), {},
                                     [](const auto& entry) { return entry.is_regular_file(); });
    CHECK_MESSAGE(files <= 25, room << " has " << files << " files");
  }
  // What speaks HTTP knows nothing of pictures.
  static const std::regex beyond(
      R"re(^\s*#\s*include\s*["<](?!core/|tools/serve/http/|weights/sha256)[a-z]+/)re");
  for_each_line("tools/serve/http", [](const std::string& file, const std::string& line) {
    if (line.find('"') != line.npos && std::regex_search(line, beyond))
      FAIL(file << " knows more than HTTP: " << line);
  });
}

TEST_CASE("ops, layers and models do not ask which backend was compiled in") {
  for (const std::string folder :
       {"core/ops", "core/nn", "core/grad", "core/train", "dvae", "transformer", "clip", "rerank"}) {
    for_each_line(folder, [](const std::string& file, const std::string& line) {
      if (line.rfind("#if", 0) == 0) FAIL(file << " has a conditional: " << line);
    });
  }
}

TEST_CASE("models and commands compute with ops and layers, not with kernels") {
  for (const std::string folder : {"weights", "dvae", "transformer", "clip", "rerank", "tools"}) {
    for_each_line(folder, [](const std::string& file, const std::string& line) {
      for (const char* word : {"core/kernels/kernels.h", "kernels()", "->record(", "Kernels"})
        if (line.find(word) != line.npos) FAIL(file << " reaches past core/ops: " << line);
    });
  }
}

TEST_CASE("libraries name options by their fields, not by a program's flags") {
  static const std::regex flag(R"re("[^"]*--[a-z][a-z-]+)re");
  for (const std::string folder : {"core", "weights", "dvae", "transformer", "clip", "rerank"}) {
    for_each_line(folder, [](const std::string& file, const std::string& line) {
      if (std::regex_search(line, flag)) FAIL(file << " says a flag; use OptionName: " << line);
    });
  }
}

TEST_CASE("whole masks are made for reference, pictures and tests alone") {
  for (const std::string folder : {"core", "weights", "dvae", "transformer", "clip", "rerank", "tools"}) {
    for_each_line(folder, [](const std::string& file, const std::string& line) {
      if (line.find("to_mask(") == std::string::npos || file.starts_with("core/attention/")) return;
      const bool of_masks = fs::path(file).filename().string().find("mask") != std::string::npos;
      if (!of_masks || !file.starts_with("tools/")) FAIL(file << " makes a whole mask: " << line);
    });
  }
}

TEST_CASE("stderr is written in one place, which outlives its loss") {
  for (const std::string folder : {"core", "weights", "dvae", "transformer", "clip", "rerank", "tools"}) {
    for_each_line(folder, [](const std::string& file, const std::string& line) {
      if (line.find("print(stderr") != line.npos || line.find("std::cerr") != line.npos)
        FAIL(file << " may throw where stderr cannot be written; use tools/program/standard_streams.h: "
                  << line);
    });
  }
}

TEST_CASE("core has no network code") {
  // A program that is started could use the network for us. `Type system(...)` declares a variable.
  static const std::regex network(
      R"re(sys/(socket|un)\.h|netdb\.h|arpa/inet\.h|netinet/|curl/|libssh|[</]asio|)re"
      R"re((^|[^\w\s]|return)\s*(popen|system)\(|https?://[^ ]*\.(com|org|net)/[^ ]*\.(pt|pkl|bin))re");
  for (const std::string folder : {"core", "weights", "dvae", "transformer", "clip", "rerank"}) {
    for_each_line(folder, [](const std::string& file, const std::string& line) {
      if (std::regex_search(line, network)) FAIL(file << ": " << line);
    });
  }
}

}  // namespace dalle1::test
