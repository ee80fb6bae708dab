#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "core/text/suggest.h"
#include "tests/support/golden.h"
#include "tests/tools/program.h"
#include "tests/tools/tiny_model.h"
#include "tools/program/command.h"

using namespace dalle1;
using test::run_program;

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("every command helps with an example first") {
  for (const auto& command : tools::all_commands()) {
    INFO(command.name);
    CLI::App app;
    tools::CommonOptions common;
    CHECK(command.declare(app, common) != nullptr);
    CHECK_FALSE(command.summary.empty());
    CHECK(command.example.rfind("dalle1 " + command.name, 0) == 0);
  }
  const auto help = run_program({"sample", "--help"});
  CHECK(help.exit_code == 0);
  CHECK(help.out.rfind("Example:\n  dalle1 sample --prompt ", 0) == 0);
  CHECK(contains(help.out, "--candidates"));
  CHECK(help.err.empty());
}

TEST_CASE("typing errors are one line with a suggestion and exit code 2") {
  const auto check = [](const std::vector<std::string>& arguments, const std::string& part) {
    const auto result = run_program(arguments);
    CHECK(result.exit_code == 2);
    CHECK_MESSAGE(contains(result.error_line(), part), result.err);
  };
  check({"smaple"}, "did you mean 'sample'?");
  check({"sample", "--promt", "x"}, "did you mean '--prompt'?");
  check({"sample", "--prompt", "x", "--candidates", "none"}, "--candidates");
  check({"sample", "--prompt", "x", "--candidates", "0"}, "--candidates");
  check({"sample", "--prompt", "x", "--top-p", "nan"}, "--top-p");
  check({"sample", "--prompt", "x", "--top-p", "0"}, "--top-p");
  check({"sample", "--prompt", "x", "--temperature", "nan"}, "--temperature");
  check({"sample", "--prompt", "x", "--resume", "--overwrite"}, "--resume");
  check({"sample", "--prompt", "x", "--progress", "fancy"}, "{auto,plain,json,none}");
  check({"sample"}, "--prompt");
  check({"sample", "--prompt", "x", "--guidance", "1", "--negative", "y"}, "--guidance");
  check({"sample", "--prompt", "x", "--scorer", "beauty"}, "there is no scorer 'beauty'");
  check({"complete", "--image", "x.png", "--prompt", "x"}, "one of --keep-rows, --region and --mask");
  check({"--device", "cpu", "sample"}, "the command comes first");
  check({"doctor", "--device", "cuda:0x"}, "unknown device 'cuda:0x'");
  check({"doctor", "--device", "cuda:"}, "unknown device 'cuda:'");
  check({"train"}, "'dalle1 train --help'");
  check({}, "no command");
}

TEST_CASE("suggestions come only for what is near") {
  CHECK(text::edit_distance("smaple", "sample") == 1);
  CHECK(text::edit_distance("", "abc") == 3);
  CHECK(text::did_you_mean("quux", {"sample", "grid"}).empty());
  CHECK(contains(text::did_you_mean("gird", {"sample", "grid"}), "'grid'"));
}

TEST_CASE("the shell reads a recorded command line back") {
  CHECK(tools::shell_line({"dalle1", "a b", "it's", "", "$x"}) == "dalle1 'a b' 'it'\\''s' '' '$x'");
}

TEST_CASE("doctor tests this machine, as text and as JSON") {
  const auto result = run_program({"doctor", "--json"});
  CHECK(result.exit_code == 0);
  const auto report = nlohmann::json::parse(result.out);
  const char* chosen = getenv("OMP_WAIT_POLICY");
  CHECK(report["wait_policy"] == (chosen ? chosen : "passive"));
  CHECK(report["devices"][0]["threads"].get<int>() >= 1);
  REQUIRE_FALSE(report["self_test"].empty());
  for (const auto& check : report["self_test"]) CHECK_MESSAGE(check["passed"].get<bool>(), check.dump());
  CHECK(run_program({"doctor"}).exit_code == 0);
}

TEST_CASE("a missing model, a missing device and a full disk have their exit codes") {
  test::ScratchDir scratch;
  auto result = run_program({"sample", "--prompt", "x", "--model", (scratch / "none").string()});
  CHECK(result.exit_code == 4);
  CHECK(contains(result.error_line(), "there is no model at"));
  if (cuda_device_count() == 0) {
    result = run_program({"sample", "--prompt", "x", "--device", "cuda", "--out", (scratch / "o").string()},
                         {.environment = {{"DALLE1_MODEL", test::tiny_model().string()}},
                          .directory = {},
                          .standard_output = {},
                          .watch = {}});
    CHECK(result.exit_code == 6);
  }
  result = run_program({"doctor"},
                       {.environment = {}, .directory = {}, .standard_output = "/dev/full", .watch = {}});
  CHECK(result.exit_code == 8);
  CHECK(result.error_lines() == 1);
}
