// Manual pages and completion, which packages install.
#include <doctest/doctest.h>

#include <regex>

#include "tests/support/golden.h"
#include "tests/tools/program.h"
#include "tools/program/command_app.h"
#include "tools/program/completion.h"
#include "tools/program/man_page.h"

using namespace dalle1;

namespace {

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (auto at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++found;
  return found;
}

std::string replaced(const std::string& text, const char* pattern, const char* by) {
  return std::regex_replace(text, std::regex(pattern), by);
}

tools::Command command_with_odd_texts() {
  return {"train nothing", "Say nothing", "dalle1 train nothing --what 'a\\b'\n.dotted",
          [](CLI::App& app, tools::CommonOptions&) {
            auto text = std::make_shared<std::string>();
            app.add_option("files", *text, "'Quoted' at the start");
            app.add_option("--what", *text, ".TH is no request")->check(CLI::IsMember({"one", "two"}));
            return [text] { return 0; };
          }};
}

}  // namespace

TEST_CASE("a manual page has every option of its command, once") {
  for (const auto& command : tools::all_commands()) {
    const tools::CommandApp parsed(command);
    const auto page = tools::command_page(command);
    for (const auto* option : parsed.app.get_options()) {
      for (const auto& name : option->get_lnames()) {
        const auto heading = "\\fB\\-\\-" + replaced(name, "-", "\\-") + "\\fR";
        CHECK_MESSAGE(count(page, "\n" + heading) + count(page, ", " + heading) == 1,
                      command.name << " " << name);
      }
    }
  }
}

TEST_CASE("a manual page keeps backslashes, and no text of it is a request of troff") {
  const auto page = tools::command_page(command_with_odd_texts());
  CHECK(count(page, ".TH ") == 2);
  CHECK(count(page, "\n.TH ") == 0);
  CHECK(count(page, "\n\\&.TH is no request.") == 1);
  CHECK(count(page, "\n\\&'Quoted' at the start.") == 1);
  CHECK(count(page, "'a\\eb'\n\\&.dotted\n") == 1);
  CHECK(count(page, "dalle1\\-train\\-nothing \\- say nothing\n") == 1);
  CHECK(count(page, "\\fBdalle1 train nothing\\fR [\\fIOPTIONS\\fR] [\\fIfiles\\fR]\n") == 1);
}

TEST_CASE("completion knows groups, options and the words that an option takes") {
  const auto script = tools::bash_completion({command_with_odd_texts()});
  CHECK(count(script, "compgen -W \"train --help --version\"") == 1);
  CHECK(count(script, "train) first=3 options=\"nothing\"") == 1);
  CHECK(count(script, "\"train nothing --what\") COMPREPLY=($(compgen -W \"one two\"") == 1);
  CHECK(count(script, "\"train nothing\") options=\"--help --what --device ") == 1);
}

TEST_CASE("dalle1 manual writes a page for each command that the help lists, and itself is none of them") {
  const test::ScratchDir scratch;
  const auto out = (scratch / "manual").string();
  CHECK(test::run_program({"manual", "--out", out}).exit_code == 0);
  const auto help = test::run_program({"--help"}).out;
  CHECK(count(help, "  manual ") == 0);
  size_t pages = 0;
  for (const auto& entry : std::filesystem::directory_iterator(out + "/man1")) pages += entry.path() != "";
  size_t listed = 0;
  for (const auto& command : tools::all_commands()) listed += count(help, "\n  " + command.name + " ");
  CHECK(listed == tools::all_commands().size() - 1);
  CHECK(pages == listed + 1);
  CHECK(std::filesystem::exists(out + "/dalle1.bash"));
}
