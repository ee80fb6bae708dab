// Parsing, help and errors of the whole program. Only the command that was asked for declares its options.
#include <fmt/format.h>
#include <stdio.h>

#include <algorithm>
#include <exception>
#include <filesystem>
#include <new>

#include "tools/program/program.h"

#include "core/text/suggest.h"
#include "tools/program/command_app.h"
#include "tools/program/interrupt.h"
#include "tools/program/numbers.h"
#include "tools/program/ranks.h"
#include "tools/program/standard_streams.h"

namespace dalle1::tools {
namespace {

std::string command_line;

void print_overview(const std::vector<Command>& commands) {
  fmt::print(
      "Example:\n  dalle1 sample --prompt \"a red circle above a blue square\" --candidates 512 --keep 32\n\n"
      "DALL-E 1 in C++: draws pictures from text, ranks them, and trains the models that do "
      "so.\n\nCommands:\n");
  for (const auto& command : commands)
    if (!command.hidden) fmt::print("  {:<20} {}\n", command.name, command.summary);
  fmt::print(
      "\n'dalle1 COMMAND --help' shows the options of a command.\n"
      "Exit codes: 0 done, 1 internal, 2 usage, 3 input, 4 model, 5 memory, 6 device, 7 partly done, 8 "
      "output,\n"
      "130, 138 and 143 stopped by SIGINT, SIGUSR1 and SIGTERM.\n");
}

// The members of a group ("train" has "train dvae", ...).
std::vector<const Command*> group_members(const std::vector<Command>& commands, const std::string& group) {
  std::vector<const Command*> members;
  for (const auto& command : commands)
    if (command.name.rfind(group + " ", 0) == 0) members.push_back(&command);
  return members;
}

[[noreturn]] void unknown_command(const std::vector<Command>& commands, const std::string& typed) {
  std::vector<std::string> names;
  for (const auto& command : commands)
    if (!command.hidden) names.push_back(command.name);
  fail(ErrorKind::usage, "there is no command '{}'{}; 'dalle1 --help' lists all", typed,
       text::did_you_mean(typed, names));
}

// The command that the first one or two words name, and how many words that took; null after help was
// printed.
const Command* find_command(const std::vector<Command>& commands, const std::vector<std::string>& words,
                            size_t& used) {
  const auto named = [&](const std::string& name) -> const Command* {
    for (const auto& command : commands)
      if (command.name == name) return &command;
    return nullptr;
  };
  used = 1;
  if (const auto* command = named(words[0])) return command;
  const auto members = group_members(commands, words[0]);
  if (members.empty()) unknown_command(commands, words[0]);
  if (words.size() > 1 && words[1] != "--help" && words[1] != "-h") {
    used = 2;
    if (const auto* command = named(words[0] + " " + words[1])) return command;
    unknown_command(commands, words[0] + " " + words[1]);
  }
  check(words.size() > 1, ErrorKind::usage, "'{}' needs one more word; 'dalle1 {} --help' lists them",
        words[0], words[0]);
  for (const auto* member : members) fmt::print("  {:<20} {}\n", member->name, member->summary);
  return nullptr;
}

std::string without_period(std::string text) {
  while (!text.empty() && (text.back() == '.' || text.back() == '\n')) text.pop_back();
  return text;
}

// What was typed and no option took, with the nearest option that exists.
std::string describe_extras(const CLI::App& app) {
  std::vector<std::string> options;
  for (const auto* option : app.get_options())
    for (const auto& name : option->get_lnames()) options.push_back("--" + name);
  for (const auto& typed : app.remaining()) {
    if (typed.size() > 1 && typed[0] == '-') {
      const auto name = typed.substr(0, typed.find('='));
      return fmt::format("{} has no option '{}'{}", app.get_name(), name, text::did_you_mean(name, options));
    }
  }
  return fmt::format("{} does not take the argument '{}'", app.get_name(), app.remaining().front());
}

// "--prompt=" gives an empty value; CLI11 would take the next argument for it.
std::vector<std::string> with_empty_values(const std::vector<std::string>& arguments) {
  std::vector<std::string> split;
  for (const auto& argument : arguments) {
    const bool empty_value = argument.size() > 3 && argument.rfind("--", 0) == 0 && argument.back() == '=' &&
                             argument.find('=') == argument.size() - 1;
    split.push_back(empty_value ? argument.substr(0, argument.size() - 1) : argument);
    if (empty_value) split.emplace_back();
  }
  return split;
}

// What is pasted from a text file may begin with its byte order mark, which is no part of any prompt or name.
std::vector<std::string> without_marks(std::vector<std::string> arguments) {
  const std::string mark = "\xEF\xBB\xBF";
  for (auto& argument : arguments) {
    const bool option = argument.starts_with("--");
    const size_t value = option ? argument.find('=') + 1 : 0;  // npos + 1 is 0
    if (argument.compare(value, mark.size(), mark) == 0) argument.erase(value, mark.size());
  }
  return arguments;
}

int run_command(const Command& command, std::vector<std::string> arguments) {
  CommandApp parsed(command);
  CLI::App& app = parsed.app;
  check_numbers(app);
  arguments = with_empty_values(without_marks(std::move(arguments)));
  std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
  try {
    app.parse(arguments);
  } catch (const CLI::CallForHelp&) {
    fmt::print("{}", app.help());
    return 0;
  } catch (const CLI::ExtrasError&) {
    fail(ErrorKind::usage, "{}", describe_extras(app));
  } catch (const CLI::ParseError& error) {
    // A missing required argument is often a mistyped one: name that first.
    if (!app.remaining().empty()) fail(ErrorKind::usage, "{}", describe_extras(app));
    fail(ErrorKind::usage, "{}; see '{} --help'", without_period(error.what()), app.get_name());
  }
  return parsed.action();
}

int dispatch(const std::vector<std::string>& words) {
  const auto commands = all_commands();
  if (words.empty() || words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    print_overview(commands);
    if (words.empty()) fail(ErrorKind::usage, "no command given");
    return 0;
  }
  if (words[0] == "--version") {
    fmt::print("dalle1 {}\n", DALLE1_VERSION);
    return 0;
  }
  check(words[0][0] != '-', ErrorKind::usage,
        "the command comes first, options after it: dalle1 COMMAND {} ...", words[0]);
  size_t used = 0;
  const auto* command = find_command(commands, words, used);
  if (command) check_job(command->name, command->on_ranks);
  return command ? run_command(*command, {words.begin() + static_cast<std::ptrdiff_t>(used), words.end()})
                 : 0;
}

// Error texts quote what users typed and files contain: whatever it is, it stays one line and cannot drive a
// terminal.
std::string one_line(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte == '\n' || byte == '\t' || byte == '\r')
      out += ' ';
    else if (byte < 0x20 || byte == 0x7f)
      out += fmt::format("\\x{:02x}", byte);
    else
      out += c;
  }
  return out;
}

int report(int exit_code, std::string_view message) {
  fflush(stdout);
  end_job(exit_code, one_line(message));
  return exit_code;
}

int report_lost_results() {
  return report(static_cast<int>(ErrorKind::output), "the results cannot be written to stdout");
}

}  // namespace

const std::string& program_command_line() { return command_line; }

int run_program(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  auto record = words;
  record.insert(record.begin(), "dalle1");
  command_line = shell_line(record);
  try {
    job_comm();  // before anything is printed: by one of several
    const int exit_code = dispatch(words);
    return fflush(stdout) == 0 && !ferror(stdout) ? exit_code : report_lost_results();
  } catch (const Error& error) {
    const bool interrupted = error.kind() == ErrorKind::interrupted && GracefulStop::requested();
    return report(interrupted ? 128 + GracefulStop::signal_number() : error.exit_code(), message_of(error));
  } catch (const std::filesystem::filesystem_error& error) {
    // Readers of inputs have errors of their own: what is left is a folder or file that cannot be made, moved
    // or removed.
    return report(static_cast<int>(ErrorKind::output),
                  fmt::format("{}: {}", error.path1().string(), error.code().message()));
  } catch (const std::bad_alloc&) {
    return report(static_cast<int>(ErrorKind::memory), "the system has no more memory to give");
  } catch (const std::exception& error) {
    if (ferror(stdout)) return report_lost_results();
    return report(static_cast<int>(ErrorKind::internal), error.what());
  }
}

}  // namespace dalle1::tools
