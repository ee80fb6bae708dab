// Numbers on the command line, in the environment and in files: what does not fit is refused, never bent.
#include <doctest/doctest.h>

#include <algorithm>

#include "core/io/atomic_file.h"
#include "tests/support/golden.h"
#include "tests/tools/program.h"
#include "tests/tools/run_files.h"
#include "tests/tools/tiny_model.h"
#include "tools/draw/draw_options.h"
#include "tools/eval/eval_prompts.h"
#include "tools/program/command.h"
#include "tools/program/numbers.h"

using namespace dalle1;
using test::run_program;
using test::ScratchDir;

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

void refused(const std::vector<std::string>& arguments, const std::string& part,
             const std::map<std::string, std::string>& environment = {}) {
  test::ProgramOptions options;
  options.environment = environment;
  const auto result = run_program(arguments, options);
  CAPTURE(arguments.back());
  CHECK(result.exit_code == 2);
  CHECK_MESSAGE(contains(result.error_line(), part), result.err);
}

// What the options of `sample` are after this.
tools::DrawOptions parsed(std::vector<std::string> arguments) {
  CLI::App app;
  tools::DrawOptions options;
  tools::add_draw_options(app, options);
  tools::check_numbers(app);
  std::reverse(arguments.begin(), arguments.end());
  app.parse(arguments);
  return options;
}

}  // namespace

TEST_CASE("numeric options are decimal") {
  CHECK(parsed({"--seed", "010"}).seed == 10);
  CHECK(parsed({"--seed", "18446744073709551615"}).seed == UINT64_MAX);
  CHECK(parsed({"--only", "010,3,4294967295"}).only == std::vector<uint32_t>{10, 3, UINT32_MAX});
  CHECK(parsed({"--candidates", "0100"}).candidates == 100);
  CHECK(parsed({"--temperature", "1e-1"}).temperature == 0.1);
}

TEST_CASE("numbers that do not fit are refused by name and range") {
  const std::string range = "0 to 18446744073709551615";
  for (const char* seed :
       {"-1", "18446744073709551616", "0x10", "1e3", "1.0", "", " 1", "99999999999999999999999"}) {
    refused({"sample", "--prompt", "x", "--seed", seed}, range);
    refused({"shard", "--data", "x", "--out", "x", std::string("--seed=") + seed}, "--seed");
  }
  refused({"sample", "--prompt", "x", "--only", "1,-2"}, "--only");
  refused({"sample", "--prompt", "x", "--only", "4294967296"},
          "--only: Value 4294967296 not in range 0 to 4294967295");
  refused({"sample", "--prompt", "x", "--candidates", "0x10"}, "--candidates");
  refused({"sample", "--prompt", "x", "--candidates", "9223372036854775808"}, "--candidates");
  for (const char* number : {"nan", "inf", "-inf", "0x1p3", "1e999", "0,5", "1.0f"})
    refused({"sample", "--prompt", "x", "--temperature", number}, "--temperature");
  refused({"vary", "--image", "x.png", "--prompt", "x", "--depths", "8,0x10"}, "--depths");
  refused({"complete", "--image", "x.png", "--prompt", "x", "--region", "0,0,1e2,5"}, "--region");
  refused({"complete", "--image", "x.png", "--prompt", "x", "--region", "0,0,99999999999,5"}, "--region");
  refused({"attention", "--prompt", "x", "--image", "x.png", "--out", "o", "--at", "1,2.5"}, "--at");
  refused({"attention", "--prompt", "x", "--image", "x.png", "--out", "o", "--layer", "4294967296"},
          "--layer");
  refused({"bench", "decode", "--layers", "1e1"}, "--layers");
  refused({"eval", "--prompts", "x", "--checker", "x", "--out", "x", "--max-minutes", "nan"},
          "--max-minutes");
  refused({"sample", "--prompt", "x", "--scorer", "clip=0x10,likelihood=1"}, "the weight of scorer 'clip'");
  refused({"doctor"}, "(from DALLE1_THREADS)", {{"DALLE1_THREADS", "0x2"}});
  refused({"doctor"}, "--threads", {{"DALLE1_THREADS", "two"}});
}

TEST_CASE("every numeric option of every command refuses what is no decimal number") {
  int numeric = 0;
  for (const auto& command : tools::all_commands()) {
    CLI::App app;
    tools::CommonOptions common;
    command.declare(app, common);
    add_common_options(app, common);
    std::map<std::string, std::string> values;  // as many as the option takes
    for (const auto* option : app.get_options()) {
      const auto type = option->get_type_name();
      if (!type.starts_with("INT") && !type.starts_with("UINT") && !type.starts_with("FLOAT")) continue;
      auto& value = values["--" + option->get_lnames().at(0)];
      value = "0x1";
      for (int i = 1; i < option->get_expected_min(); ++i) value += ",0x1";
    }
    tools::check_numbers(app);
    for (const auto& [name, value] : values) {
      CAPTURE(command.name);
      CAPTURE(name);
      CHECK_THROWS_AS(app.parse(std::vector<std::string>{value, name}), CLI::ValidationError);
      ++numeric;
    }
  }
  CHECK(numeric > 60);
}

TEST_CASE("seeds of prompts are numbers that fit, wherever they stand") {
  ScratchDir scratch;
  const auto file = scratch / "prompts.jsonl";
  const auto seed = [&](const std::string& text) {
    write_file_atomically(file, "{\"prompt\": \"x\", \"seed\": " + text + "}\n");
    return tools::read_eval_prompts(file.string(), {}, 0).at(0).seed;
  };
  CHECK(seed("18446744073709551615") == UINT64_MAX);
  for (const char* bad : {"-1", "18446744073709551616", "1.5", "1e99", "\"1\"", "true"})
    CHECK_THROWS_WITH_AS(seed(bad), doctest::Contains("prompts.jsonl line 1: 'seed' must be a whole number"),
                         Error);
  CHECK_THROWS_WITH_AS(seed("NaN"), doctest::Contains("line 1, column"), Error);
}
