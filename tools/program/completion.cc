#include "tools/program/completion.h"

#include <fmt/format.h>

#include <map>
#include <set>

#include "tools/program/command_app.h"

namespace dalle1::tools {
namespace {

// What follows depends on nothing but the words typed so far. Of "--name=value" bash makes three words.
const char* const kScript = R"(# bash completion for dalle1, written by `dalle1 manual`
_dalle1() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}} command=${{COMP_WORDS[1]}}
  local first=2 options=
  if [ "$current" = = ]; then current=; fi
  if [ "$previous" = = ]; then previous=${{COMP_WORDS[COMP_CWORD - 2]}}; fi
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{commands} --help --version" -- "$current"))
    return
  fi
  case $command in
{groups}  esac
  if [ "$COMP_CWORD" -lt $first ]; then
    COMPREPLY=($(compgen -W "$options" -- "$current"))
    return
  fi
  case "$command $previous" in
{values}  esac
  case $command in
{options}  esac
  # Without a reply bash completes files.
  case $current in
    -*) COMPREPLY=($(compgen -W "$options" -- "$current")) ;;
  esac
}}
complete -o default -o bashdefault -F _dalle1 dalle1
)";

std::string joined(const auto& words) { return fmt::format("{}", fmt::join(words, " ")); }

struct CommandLine {
  std::vector<std::string> options;
  std::string values;  // lines of the script
};

CommandLine describe_command_line(const Command& command) {
  CommandLine line;
  const CommandApp parsed(command);
  for (const auto* option : parsed.app.get_options()) {
    for (const auto& name : option->get_lnames()) {
      line.options.push_back("--" + name);
      if (const auto values = allowed_values(*option); !values.empty())
        line.values +=
            fmt::format("    \"{} --{}\") COMPREPLY=($(compgen -W \"{}\" -- \"$current\")); return ;;\n",
                        command.name, name, joined(values));
    }
  }
  return line;
}

}  // namespace

std::string bash_completion(const std::vector<Command>& commands) {
  std::vector<std::string> first_words;
  std::map<std::string, std::vector<std::string>> groups;
  std::string values, options, group_lines;
  for (const auto& command : commands) {
    const auto space = command.name.find(' ');
    const auto first = command.name.substr(0, space);
    if (first_words.empty() || first_words.back() != first) first_words.push_back(first);
    if (space != command.name.npos) groups[first].push_back(command.name.substr(space + 1));
    const auto line = describe_command_line(command);
    values += line.values;
    options += fmt::format("    \"{}\") options=\"{}\" ;;\n", command.name, joined(line.options));
  }
  for (const auto& [name, members] : groups)
    group_lines += fmt::format("    {}) first=3 options=\"{}\" command=\"{} ${{COMP_WORDS[2]}}\" ;;\n", name,
                               joined(members), name);
  return fmt::format(fmt::runtime(kScript), fmt::arg("commands", joined(first_words)),
                     fmt::arg("groups", group_lines), fmt::arg("values", values),
                     fmt::arg("options", options));
}

}  // namespace dalle1::tools
