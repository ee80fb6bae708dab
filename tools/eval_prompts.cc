#include "tools/eval_prompts.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "core/error.h"

namespace dalle1::tools {
namespace {

using Groups = std::map<std::pair<std::string, bool>, std::vector<EvalPrompt>>;

EvalPrompt prompt_of(const std::string& line, const std::string& where) {
  const auto json = nlohmann::json::parse(line, nullptr, false);
  check(json.is_object() && json.contains("prompt"), ErrorKind::input, "{}: no JSON object with a \"prompt\"",
        where);
  try {
    return {json["prompt"].get<std::string>(), json.value("kind", std::string("prompts")),
            json.value("control", std::string()), json.value("held_out", false),
            json.value("seed", uint64_t{0})};
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorKind::input, "{}: {}", where, error.what());
  }
}

}  // namespace

std::vector<EvalPrompt> read_eval_prompts(const std::string& path, const std::vector<std::string>& kinds,
                                          int limit) {
  std::ifstream file(path, std::ios::binary);
  check(file.good(), ErrorKind::input, "{}: cannot be read", path);
  Groups groups;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    if (line.empty()) continue;
    auto prompt = prompt_of(line, fmt::format("{} line {}", path, number));
    if (!kinds.empty() && std::find(kinds.begin(), kinds.end(), prompt.kind) == kinds.end()) continue;
    auto& group = groups[{prompt.kind, prompt.held_out}];
    if (limit == 0 || static_cast<int>(group.size()) < limit) group.push_back(std::move(prompt));
  }
  for (const auto& kind : kinds)
    check(groups.count({kind, false}) + groups.count({kind, true}) > 0, ErrorKind::usage,
          "{} has no prompts of the kind '{}'", path, kind);
  check(!groups.empty(), ErrorKind::input, "{}: no prompts in it", path);
  std::vector<EvalPrompt> prompts;
  for (size_t turn = 0, before = SIZE_MAX; before != prompts.size(); ++turn) {
    before = prompts.size();
    for (const auto& [key, group] : groups)
      if (turn < group.size()) prompts.push_back(group[turn]);
  }
  return prompts;
}

}  // namespace dalle1::tools
