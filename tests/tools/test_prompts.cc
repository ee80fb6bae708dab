// Prompts as people type them, and as they do not.
#include <doctest/doctest.h>

#include "core/error.h"
#include "core/io/atomic_file.h"
#include "rerank/results.h"
#include "tests/support/golden.h"
#include "tests/tools/program.h"
#include "tests/tools/run_files.h"
#include "tests/tools/tiny_model.h"
#include "tools/draw/draw_options.h"

using namespace dalle1;
namespace fs = std::filesystem;

namespace {

test::ProgramResult plan(const std::string& prompt, std::vector<std::string> more = {}) {
  std::vector<std::string> arguments = {
      "sample", "--model", test::tiny_model().string(), "--prompt", prompt, "--candidates", "2", "--dry-run"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return test::run_program(arguments);
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("prompts at the limit fit, one token more is refused with both counts, --truncate opts in") {
  // The model has 16 text slots; each unknown letter below is a token of its own, as is the space in front.
  int longest = 0;
  for (int length = 10; length <= 17; ++length) {
    std::string prompt;
    for (int i = 0; i < length; ++i) prompt += "q";
    const auto result = plan(prompt);
    if (result.exit_code == 0) longest = length;
    if (result.exit_code != 0 && longest + 1 == length) {
      CHECK(result.exit_code == 3);
      CHECK_MESSAGE(contains(result.error_line(), "17 tokens for the transformer, which takes 16"),
                    result.err);
      CHECK_MESSAGE(contains(result.error_line(), "19 for CLIP, which takes 18"), result.err);
      CHECK(plan(prompt, {"--truncate"}).exit_code == 0);
    }
  }
  CHECK(longest > 0);
  CHECK(longest < 17);

  // At the limit it is drawn; what is cut draws as what is left would.
  test::ScratchDir scratch;
  const auto tokens = [&](int length, const std::string& name, std::vector<std::string> more) {
    std::vector<std::string> arguments = {"sample",
                                          "--model",
                                          test::tiny_model().string(),
                                          "--prompt",
                                          std::string(static_cast<size_t>(length), 'q'),
                                          "--candidates",
                                          "1",
                                          "--out",
                                          (scratch / name).string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const auto result = test::run_program(arguments);
    REQUIRE_MESSAGE(result.exit_code == 0, result.err);
    return rerank::read_results(scratch / name / "results.jsonl").at(0).tokens;
  };
  CHECK(tokens(longest, "fits", {}) == tokens(longest + 1, "cut", {"--truncate"}));
}

TEST_CASE("any UTF-8 is a prompt; anything else is one clear line") {
  const std::string emoji = "\xF0\x9F\x90\xB1", arabic = "\xD9\x82\xD8\xB7\xD8\xA9", chinese = "\xE7\x8C\xAB";
  test::ScratchDir scratch;
  for (const auto& prompt :
       {std::string(), emoji, arabic, chinese, std::string("a\x01\x1b[31m\tb\nc"), std::string("-")}) {
    INFO(prompt);
    const auto out = scratch / std::to_string(prompt.size());
    fs::remove_all(out);
    const auto result = test::run_program({"sample", "--model", test::tiny_model().string(),
                                           "--prompt=" + prompt, "--candidates", "2", "--out", out.string()});
    CHECK_MESSAGE(result.exit_code == 0, result.err);
    if (!fs::exists(out / "grid.png")) continue;
    const auto inspected = test::run_program({"inspect", (out / "grid.png").string(), "--json"});
    CHECK(inspected.exit_code == 0);
    CHECK(nlohmann::json::parse(inspected.out)["dalle1"]["prompt"] == prompt);
    // For people nothing in a file may drive the terminal.
    const auto text = test::run_program({"inspect", (out / "grid.png").string()});
    CHECK(text.out.find('\x1b') == std::string::npos);
  }
  for (const std::string bad : {"caf\xE9", "\xF0\x9F\x90", "a\xC0\x80"}) {
    const auto result = plan(bad);
    CHECK(result.exit_code == 3);
    CHECK_MESSAGE(contains(result.error_line(), "UTF-8"), result.err);
  }
}

TEST_CASE("a megabyte of text is refused by its count, from a file and cut on request") {
  test::ScratchDir scratch;
  write_file_atomically(scratch / "long.txt", std::string(1 << 20, 'q') + "\n");
  std::vector<std::string> arguments = {"sample",
                                        "--model",
                                        test::tiny_model().string(),
                                        "--prompts",
                                        (scratch / "long.txt").string(),
                                        "--candidates",
                                        "2",
                                        "--dry-run"};
  const auto result = test::run_program(arguments);
  CHECK(result.exit_code == 3);
  CHECK_MESSAGE(contains(result.error_line(), "tokens for the transformer, which takes 16"), result.err);
  CHECK(result.err.size() < 1000);
  arguments.push_back("--truncate");
  CHECK(test::run_program(arguments).exit_code == 0);
}

TEST_CASE("prompt files: marks, ends of lines, JSON lines, and what is neither") {
  using namespace std::string_literals;
  test::ScratchDir scratch;
  const auto read = [&](const std::string& bytes) {
    write_file_atomically(scratch / "p.jsonl", bytes);
    tools::DrawOptions options;
    options.prompts = (scratch / "p.jsonl").string();
    return tools::read_prompts(options);
  };
  using Prompts = std::vector<std::string>;
  const std::string mark = "\xEF\xBB\xBF";
  CHECK(read(mark + "{\"prompt\": \"a\"}\r\n  {\"prompt\": \"b\"}\r\n") == Prompts{"a", "b"});
  CHECK(read(mark + "a red cat\r\n\r\n \t\nb") == Prompts{"a red cat", "b"});
  CHECK(read("[sic] a cat\n[a, b]\n") == Prompts{"[sic] a cat", "[a, b]"});
  const auto refused = [&](const std::string& bytes, const char* part) {
    CHECK_THROWS_WITH_AS(read(bytes), doctest::Contains(part), Error);
  };
  refused("a\n{\"prompt\": }\n", "p.jsonl line 2, column 12: not JSON");
  refused("{\"prompt\": NaN}", "line 1, column 12: not JSON");
  refused("{a red circle}", "line 1, column 2: not JSON");
  refused("{\"prompt\": 3}", "line 1: no JSON object with a \"prompt\"");
  refused("{\"text\": \"a\"}", "line 1: no JSON object with a \"prompt\"");
  for (const char* list :
       {"[\"a\", \"b\"]", "[{\"prompt\": \"a\"}]", "[\n\"a\"\n]", "[ {\"prompt\": \"a\"},\n"})
    refused(list, "line 1: a JSON list; write one prompt a line");
  refused(
      "\xFF\xFE"
      "a\0"s,
      "UTF-16");
  refused("a\0 \0"s, "NUL byte");
  refused("caf\xE9", "line 1 is not valid UTF-8");
  refused(mark + "\n", "no prompts in it");
}

TEST_CASE("a byte order mark in front of a typed prompt is no part of it") {
  test::ScratchDir scratch;
  const std::string mark = "\xEF\xBB\xBF";
  for (const std::vector<std::string>& prompt :
       {std::vector<std::string>{"--prompt", mark + "a cat"}, {"--prompt=" + mark + "a cat"}}) {
    const auto out = scratch / std::to_string(prompt.size());
    std::vector<std::string> arguments = {
        "sample", "--model", test::shallow_model().string(), "--candidates", "1", "--out", out.string()};
    arguments.insert(arguments.end(), prompt.begin(), prompt.end());
    REQUIRE(test::run_program(arguments).exit_code == 0);
    CHECK(nlohmann::json::parse(test::content_of(out / "run.json"))["options"]["prompt"] == "a cat");
  }
}

TEST_CASE("folders are named after prompts") {
  CHECK(tools::slug("A red circle, above a blue square!") == "a-red-circle-above-a-blue-square");
  CHECK(tools::slug("../../etc/passwd") == "etc-passwd");
  CHECK(tools::slug("") == "prompt");
  CHECK(tools::slug("\x01 .. /") == "prompt");
  CHECK(tools::slug("\xE7\x8C\xAB 1") == "\xE7\x8C\xAB-1");
  CHECK(tools::slug(std::string(500, 'a')).size() == 40);
  CHECK(tools::slug(std::string(39, 'a') + "\xE7\x8C\xAB").size() == 39);
}
