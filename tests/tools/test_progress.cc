// Progress: a bar for people at a terminal, lines elsewhere, JSON for programs.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/golden.h"
#include "tests/tools/program.h"
#include "tests/tools/tiny_model.h"

using namespace dalle1;
using test::ScratchDir;

namespace {

test::ProgramResult sample(const ScratchDir& scratch, const std::string& name, bool terminal,
                           std::map<std::string, std::string> environment,
                           std::vector<std::string> more = {"--batch", "4"}, double* seconds = nullptr) {
  std::vector<std::string> arguments = {"sample",   "--model",   test::tiny_model().string(),
                                        "--prompt", "a red cat", "--candidates",
                                        "8",        "--out",     (scratch / name).string()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return test::run_program(arguments, {.environment = std::move(environment),
                                       .directory = {},
                                       .standard_output = {},
                                       .watch =
                                           [&](int, double now) {
                                             if (seconds) *seconds = now;
                                           },
                                       .most_seconds = 120,
                                       .terminal = terminal});
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("at a terminal a bar is drawn over itself, with all that people want to know") {
  ScratchDir scratch;
  const auto result = sample(scratch, "bar", true, {{"TERM", "xterm"}, {"LC_ALL", "C.UTF-8"}});
  REQUIRE_MESSAGE(result.exit_code == 0, result.err);
  CHECK(contains(result.err, "\r"));
  CHECK(contains(result.err, "\u2588"));
  CHECK(contains(result.err, "\033[36m"));
  CHECK(contains(result.err, "tokens/s"));
  CHECK(contains(result.err, "4/8 candidates"));
  CHECK(contains(result.err, "best "));
  CHECK(contains(result.err, " left"));
  CHECK(contains(result.err, "\r\033[K8 candidates in "));  // the bar is gone before what follows
  // No line of the bar is wider than the terminal, counted without colours and with a block as one.
  std::istringstream lines(result.err);
  for (std::string line; std::getline(lines, line, '\r');) {
    if (line.find("\033[K") == std::string::npos) continue;
    int columns = 0;
    for (size_t i = 0; i < line.size(); ++i) {
      if (line[i] == '\033')
        i = line.find_first_of("mK", i);
      else
        columns += (static_cast<unsigned char>(line[i]) & 0xC0) != 0x80;
    }
    CHECK(columns <= 100);
  }

  const auto plain =
      sample(scratch, "colourless", true, {{"TERM", "xterm"}, {"LC_ALL", "C"}, {"NO_COLOR", "1"}});
  CHECK(contains(plain.err, "\r"));
  CHECK(contains(plain.err, "#"));
  CHECK_FALSE(contains(plain.err, "\033[36m"));
  CHECK_FALSE(contains(plain.err, "\u2588"));
}

TEST_CASE("elsewhere there are plain lines, one document of JSON a line on request, and silence when quiet") {
  ScratchDir scratch;
  double seconds = 0;
  const auto lines = sample(scratch, "lines", false, {}, {"--batch", "1"}, &seconds);
  CHECK_FALSE(contains(lines.err, "\r"));
  CHECK_FALSE(contains(lines.err, "\033"));
  CHECK(contains(lines.err, "8/8 candidates"));
  // The first, the last, and one every ten seconds: waves print none of their own.
  int printed = 0;
  std::istringstream each(lines.err);
  for (std::string line; std::getline(each, line);) printed += contains(line, "/8 candidates");
  CHECK(printed >= 2);
  CHECK(printed <= 2 + seconds / 10);
  CHECK_FALSE(contains(sample(scratch, "dumb", true, {{"TERM", "dumb"}}).err, "\033"));

  const auto json = sample(scratch, "json", false, {}, {"--progress", "json"});
  std::map<std::string, int> events;
  std::istringstream stream(json.err);
  for (std::string line; std::getline(stream, line);) {
    const auto event = nlohmann::json::parse(line);
    ++events[event["event"].get<std::string>()];
    if (event["event"] == "progress") CHECK(event["fraction"].get<double>() <= 1);
  }
  CHECK(events["progress"] >= 2);
  CHECK(events["device"] == 1);
  CHECK(events["estimate"] == 1);

  const auto quiet = sample(scratch, "quiet", true, {{"TERM", "xterm"}}, {"--quiet"});
  CHECK(quiet.err.empty());
  CHECK(contains(quiet.out, "grid.png"));
}
