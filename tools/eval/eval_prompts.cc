#include "tools/eval/eval_prompts.h"

#include <algorithm>
#include <map>

#include "core/io/text_file.h"
#include "core/json.h"

namespace dalle1::tools {
namespace {

using Groups = std::map<std::pair<std::string, bool>, std::vector<EvalPrompt>>;

EvalPrompt prompt_of(const nlohmann::json& json, const std::string& where) {
  check(json.is_object() && json.contains("prompt"), ErrorKind::input, "{}: no JSON object with a \"prompt\"",
        where);
  try {
    return {value_of<std::string>(json["prompt"], "prompt"), value_or(json, "kind", std::string("prompts")),
            value_or(json, "control", std::string()), value_or(json, "held_out", false),
            value_or(json, "seed", uint64_t{0})};
  } catch (const Error& error) {
    fail(ErrorKind::input, "{}: {}", where, error);
  }
}

}  // namespace

std::vector<EvalPrompt> read_eval_prompts(const std::string& path, const std::vector<std::string>& kinds,
                                          int limit) {
  TextLines lines(path);
  Groups groups;
  for (std::string line; lines.next(line);) {
    if (is_blank(line)) continue;
    auto prompt = prompt_of(parse_json(line, path, ErrorKind::input, lines.number()), lines.where());
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
