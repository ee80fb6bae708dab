#include <doctest/doctest.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "core/data/atomic_file.h"
#include "core/random/philox.h"
#include "tests/support/golden.h"
#include "tests/tools/program.h"
#include "tests/tools/run_files.h"
#include "tests/tools/tiny_model.h"
#include "tools/eval_report.h"

using namespace dalle1;
using namespace dalle1::tools;
namespace fs = std::filesystem;

TEST_CASE("Wilson intervals: values computed by hand") {
  const auto half = wilson(50, 100);
  CHECK(half.low == doctest::Approx(0.40383).epsilon(1e-4));
  CHECK(half.high == doctest::Approx(0.59617).epsilon(1e-4));
  CHECK(wilson(0, 10).low == 0.0);
  CHECK(wilson(0, 10).high == doctest::Approx(0.27753).epsilon(1e-4));
  CHECK(wilson(10, 10).high == doctest::Approx(1.0));
  CHECK(wilson(0, 0).count == 0);
}

TEST_CASE("the reranking curve equals the mean over all draws of n from N") {
  RandomStream random(5, Stream::test);
  for (int round = 0; round < 20; ++round) {
    std::vector<bool> right(8);
    for (size_t i = 0; i < right.size(); ++i) right[i] = random.below(3) == 0;
    for (int n = 1; n <= 8; ++n) {
      int draws = 0, best = 0, any = 0;
      for (unsigned set = 0; set < 256; ++set) {
        if (__builtin_popcount(set) != n) continue;
        ++draws;
        best += right[static_cast<size_t>(__builtin_ctz(set))];
        for (size_t i = 0; i < 8; ++i)
          if ((set >> i & 1) && right[i]) {
            ++any;
            break;
          }
      }
      CHECK(best_of(right, n) == doctest::Approx(static_cast<double>(best) / draws));
      CHECK(any_of(right, n) == doctest::Approx(static_cast<double>(any) / draws));
    }
  }
}

TEST_CASE("the summary counts first, best, any and controls by kind") {
  const std::vector<PromptVerdict> verdicts = {
      {"a", "shape", false, {3, 0, 5, 1}, {true, false, false, false}, {false, false, false, true}},
      {"b", "shape", false, {0, 3, 5, 1}, {false, false, true, false}, {false, false, false, false}},
      {"c", "clock", true, {1, 0}, {false, true}, {}}};
  const auto report = summarise(verdicts);
  REQUIRE(report.kinds.size() == 3);
  const auto& shape = report.kinds[1];
  CHECK(shape.kind == "shape");
  CHECK(shape.first.right == 0);
  CHECK(shape.best.right == 1);
  CHECK(shape.oracle.right == 2);
  CHECK(shape.control_oracle.right == 1);
  CHECK(report.kinds[0].first.right == 1);
  CHECK(report.kinds[0].control_best.count == 0);
  CHECK(report.kinds[2].kind == "all");
  CHECK(report.kinds[2].oracle.right == 3);
  CHECK(report.curve.back().n == 4);
  CHECK(report.curve.back().best == 0.5);
  CHECK(report.curve.front().oracle == doctest::Approx((0.25 + 0.25 + 0.5) / 3));
  CHECK(to_svg(report).find("<svg") != std::string::npos);
}

TEST_CASE("eval draws, asks the checker, resumes, and reports") {
  test::ScratchDir scratch;
  // Right when the candidate's number in the file name is even and the caption is not the control's.
  write_file_atomically(scratch / "check",
                        "#!/bin/bash\n"
                        "while read -r line; do\n"
                        "  case \"$line\" in *'\"control\"'*) echo '{\"right\": false}';;\n"
                        "    *'[02468].png'*) ;; *[02468].png*) echo '{\"right\": true}';;\n"
                        "    *) echo '{\"right\": false}';; esac\n"
                        "done\n");
  chmod((scratch / "check").c_str(), 0755);
  write_file_atomically(
      scratch / "prompts.jsonl",
      "{\"prompt\": \"a red cat\", \"kind\": \"animal\", \"control\": \"control\"}\n"
      "{\"prompt\": \"a blue house\", \"kind\": \"house\", \"held_out\": true, \"control\": "
      "\"control\"}\n");
  std::vector<std::string> arguments = {"eval",
                                        "--model",
                                        test::tiny_model().string(),
                                        "--prompts",
                                        (scratch / "prompts.jsonl").string(),
                                        "--candidates",
                                        "4",
                                        "--checker",
                                        (scratch / "check").string(),
                                        "--out",
                                        (scratch / "out").string()};
  const auto result = test::run_program(arguments);
  REQUIRE_MESSAGE(result.exit_code == 0, result.err);
  CHECK(result.out.find("house, held out") != std::string::npos);
  const auto report = nlohmann::json::parse(test::content_of(scratch / "out" / "report.json"));
  CHECK(report["judged"] == 2);
  CHECK(report["kinds"][2]["first"]["right"] == 2);
  CHECK(report["kinds"][2]["oracle"]["right"] == 2);
  CHECK(report["kinds"][2]["control_oracle"]["right"] == 0);
  CHECK(report["curve"][0]["best"] == 0.5);
  CHECK(fs::exists(scratch / "out" / "best" / "0001.png"));
  CHECK(fs::exists(scratch / "out" / "reranking.svg"));

  // As after a kill in the middle of a line: the second prompt is judged again.
  const auto verdicts = test::content_of(scratch / "out" / "verdicts.jsonl");
  write_file_atomically(scratch / "out" / "verdicts.jsonl", verdicts.substr(0, verdicts.size() - 20));
  CHECK(test::run_program(arguments).exit_code == 2);
  arguments.push_back("--resume");
  CHECK(test::run_program(arguments).exit_code == 0);
  CHECK(test::content_of(scratch / "out" / "verdicts.jsonl") == verdicts);

  arguments[8] = "/bin/false";
  arguments.back() = "--overwrite";
  const auto broken = test::run_program(arguments);
  CHECK(broken.exit_code == 1);
  CHECK_MESSAGE(broken.error_line().find("the checker /bin/false") != std::string::npos, broken.err);
}
