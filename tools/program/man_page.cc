#include "tools/program/man_page.h"

#include <fmt/format.h>

#include <cctype>
#include <sstream>

#include "tools/program/command_app.h"

namespace dalle1::tools {
namespace {

// Text as troff prints it: backslashes and hyphens as they are, no line that troff takes for a request.
std::string escaped(const std::string& text) {
  std::string out;
  bool line_begins = true;
  for (const char c : text) {
    if (line_begins && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else
      out += c;
    line_begins = c == '\n';
  }
  return out;
}

std::string header(const std::string& name) {
  std::string title;
  for (const char c : name) title += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return fmt::format(".TH {} 1 \"\" \"dalle1 {}\" \"User Commands\"\n", escaped(title), DALLE1_VERSION);
}

// The second half of a NAME line begins with a small letter, unless its first word is a name like "CLIP".
std::string described(const std::string& name, std::string summary) {
  const bool word = summary.size() > 1 && !std::isupper(static_cast<unsigned char>(summary[1]));
  if (word) summary[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(summary[0])));
  return fmt::format(".SH NAME\n{} \\- {}\n", escaped(name), escaped(summary));
}

std::string preformatted(const std::string& text) { return ".PP\n.nf\n" + escaped(text) + "\n.fi\n"; }

std::string sentence(std::string text) {
  if (!text.empty() && text.back() != '.') text += '.';
  return text;
}

std::string option_entry(const CLI::Option& option) {
  std::string names;
  for (const auto& name : option.get_snames()) names += fmt::format("\\fB\\-{}\\fR, ", escaped(name));
  for (const auto& name : option.get_lnames()) names += fmt::format("\\fB\\-\\-{}\\fR, ", escaped(name));
  names.resize(names.size() - 2);
  if (const auto value = value_text(option); !value.empty())
    names += fmt::format(" \\fI{}\\fR", escaped(value));
  std::string text = sentence(option.get_description());
  if (!option.get_default_str().empty()) text += fmt::format(" Default: {}.", option.get_default_str());
  if (option.get_required()) text += " Required.";
  if (!option.get_envname().empty()) text += fmt::format(" Environment: {}.", option.get_envname());
  return fmt::format(".TP\n{}\n{}\n", names, escaped(text));
}

std::string argument_entry(const CLI::Option& option) {
  return fmt::format(".TP\n\\fI{}\\fR\n{}\n", escaped(option.get_name(true)),
                     escaped(sentence(option.get_description())));
}

std::string synopsis(const Command& command, const CLI::App& app) {
  std::string line = fmt::format(".SH SYNOPSIS\n\\fBdalle1 {}\\fR [\\fIOPTIONS\\fR]", escaped(command.name));
  for (const auto* option : app.get_options()) {
    if (!option->get_positional()) continue;
    const bool several = option->get_expected_max() > 1;
    const auto text = fmt::format("\\fI{}\\fR{}", escaped(option->get_name(true)), several ? "..." : "");
    line += option->get_required() ? " " + text : " [" + text + "]";
  }
  return line + "\n";
}

// CLI11 calls the group of an option without one "Options".
std::string options_of(const CLI::App& app) {
  std::string text = ".SH OPTIONS\n";
  for (const auto& group : app.get_groups()) {
    std::string entries;
    for (const auto* option : app.get_options())
      if (option->get_group() == group && !option->get_positional()) entries += option_entry(*option);
    if (entries.empty()) continue;
    if (group != "Options") text += fmt::format(".SS {}\n", escaped(group));
    text += entries;
  }
  return text;
}

std::string arguments_of(const CLI::App& app) {
  std::string entries;
  for (const auto* option : app.get_options())
    if (option->get_positional()) entries += argument_entry(*option);
  return entries.empty() ? "" : ".SH ARGUMENTS\n" + entries;
}

}  // namespace

std::string page_name(const Command& command) {
  std::string name = "dalle1-" + command.name;
  for (auto& c : name)
    if (c == ' ') c = '-';
  return name;
}

std::string command_page(const Command& command) {
  const CommandApp parsed(command);
  return header(page_name(command)) + described(page_name(command), command.summary) +
         synopsis(command, parsed.app) + ".SH EXAMPLE\n" + preformatted(command.example) +
         arguments_of(parsed.app) + options_of(parsed.app) + ".SH SEE ALSO\n.BR dalle1 (1)\n";
}

std::string program_page(const std::vector<Command>& commands) {
  std::string list;
  for (const auto& command : commands)
    list += fmt::format(".TP\n\\fBdalle1 {}\\fR\n{}\n", escaped(command.name),
                        escaped(sentence(command.summary)));
  return header("dalle1") +
         described("dalle1", "Draws pictures from text, ranks them, trains the models that do so") +
         ".SH SYNOPSIS\n\\fBdalle1\\fR \\fICOMMAND\\fR [\\fIOPTIONS\\fR]\n.br\n"
         "\\fBdalle1\\fR \\fICOMMAND\\fR \\fB\\-\\-help\\fR\n.br\n\\fBdalle1 \\-\\-version\\fR\n"
         ".SH DESCRIPTION\n"
         "A transformer turns a prompt into image tokens, a discrete VAE turns these into pixels, and CLIP "
         "ranks the\n"
         "candidates. Every command has a page of its own, \\fBdalle1\\-\\fICOMMAND\\fR(1), and an example "
         "at the top of\n"
         "its help.\n.SH EXAMPLE\n" +
         preformatted(
             "dalle1 sample --prompt \"a red circle above a blue square\" --candidates 512 --keep 32") +
         ".SH COMMANDS\n" + list +
         ".SH ENVIRONMENT\n"
         "An option of any command whose description names a variable takes its value from there when it is "
         "not given.\n"
         ".TP\n\\fBDALLE1_MODEL\\fR\nThe model directory, instead of the one that comes with the program.\n"
         ".SH EXIT STATUS\n"
         "0 done; 1 internal error; 2 usage; 3 bad input; 4 bad model; 5 not enough memory; 6 device "
         "missing; 7 partly\n"
         "done; 8 output cannot be written; 130 interrupted, 138 stopped by SIGUSR1, 143 terminated. A "
         "failure prints one line that "
         "begins with\n"
         "\\(lqdalle1: error:\\(rq.\n";
}

}  // namespace dalle1::tools
