// --precision and DALLE1_ISA from end to end.
#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/cpu/isa.h"
#include "core/io/atomic_file.h"
#include "core/tensor/device.h"
#include "tests/support/golden.h"
#include "tests/tools/program.h"
#include "tests/tools/run_files.h"
#include "tests/tools/tiny_model.h"

using namespace dalle1;
using test::content_of;
using test::products_of;
using test::run_program;
namespace fs = std::filesystem;

namespace {

std::vector<std::string> drawing(const fs::path& out, std::vector<std::string> more,
                                 const fs::path& model = test::shallow_model()) {
  std::vector<std::string> arguments = {"sample",       "--model", model.string(), "--prompt", "a circle",
                                        "--candidates", "9",       "--keep",       "4",        "--device",
                                        "cpu",          "--out",   out.string()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

nlohmann::json run_of(const fs::path& out) { return nlohmann::json::parse(content_of(out / "run.json")); }

/// The shallow model, which now advises int8.
fs::path advising_model(const fs::path& folder) {
  fs::copy(test::shallow_model(), folder, fs::copy_options::recursive);
  auto model = nlohmann::json::parse(content_of(folder / "model.json"));
  model["sampling"]["precision"] = "int8";
  write_file_atomically(folder / "model.json", model.dump());
  return folder;
}

}  // namespace

TEST_CASE("pictures drawn in int8 do not depend on threads or waves, and are others than those in f32") {
  test::ScratchDir scratch;
  const auto draw = [&](const std::string& name, std::vector<std::string> more) {
    const auto result = run_program(drawing(scratch / name, std::move(more)));
    REQUIRE_MESSAGE(result.exit_code == 0, result.err);
    return products_of(scratch / name);
  };
  const auto one = draw("one", {"--precision", "int8", "--threads", "1"});
  CHECK(one == draw("two", {"--precision", "int8", "--threads", "2"}));
  CHECK(one == draw("waves", {"--precision", "int8", "--batch", "2"}));
  CHECK(one != draw("wide", {"--precision", "f32"}));
  CHECK(run_of(scratch / "one")["precision"] == "int8");
  CHECK(run_of(scratch / "one")["options"]["precision"] == "int8");
  CHECK(run_of(scratch / "wide")["precision"] == "f32");
  CHECK_FALSE(run_of(scratch / "wide")["options"].contains("precision"));
}

TEST_CASE("bf16 on a CPU: the tokens of int8, pictures that the eye cannot tell from its") {
  test::ScratchDir scratch;
  const auto bf16 = run_program(drawing(scratch / "bf16", {"--precision", "bf16", "--threads", "1"}));
  if (!make_cpu_device(1)->multiplies_bf16()) {
    CHECK(bf16.exit_code == 2);
    CHECK(bf16.error_line().find("needs a GPU or a processor with AVX512-BF16 or AMX") != std::string::npos);
    MESSAGE("skipped: this processor has no arithmetic of bf16");
    return;
  }
  REQUIRE_MESSAGE(bf16.exit_code == 0, bf16.err);
  REQUIRE(run_program(drawing(scratch / "int8", {"--precision", "int8"})).exit_code == 0);
  REQUIRE(run_program(drawing(scratch / "again", {"--precision", "bf16", "--threads", "2", "--batch", "2"}))
              .exit_code == 0);
  CHECK(run_of(scratch / "bf16")["precision"] == "bf16");
  CHECK(products_of(scratch / "bf16") == products_of(scratch / "again"));

  const auto candidates = [&](const std::string& run) {
    std::map<int, nlohmann::json> rows;
    std::istringstream lines(content_of(scratch / run / "results.jsonl"));
    for (std::string line; std::getline(lines, line);) {
      const auto row = nlohmann::json::parse(line);
      rows[row.at("candidate").get<int>()] = row;
    }
    return rows;
  };
  const auto narrow = candidates("bf16"), wide = candidates("int8");
  REQUIRE(narrow.size() == 9);
  for (const auto& [number, row] : wide) {
    CAPTURE(number);
    CHECK(narrow.at(number).at("log_likelihood") == row.at("log_likelihood"));
    CHECK(narrow.at(number).at("score").get<double>() ==
          doctest::Approx(row.at("score").get<double>()).epsilon(0.05));
  }
}

TEST_CASE("the model advises a precision; a run goes on in its own") {
  test::ScratchDir scratch;
  const auto model = advising_model(scratch / "model");
  const auto draw = [&](const std::string& name, std::vector<std::string> more) {
    return run_program(drawing(scratch / name, std::move(more), model));
  };
  REQUIRE(draw("advised", {}).exit_code == 0);
  CHECK(run_of(scratch / "advised")["precision"] == "int8");
  CHECK(run_of(scratch / "advised")["options"]["kv_dtype"] == "bf16");
  CHECK(draw("advised", {"--resume"}).exit_code == 0);
  CHECK(draw("advised", {"--resume", "--kv-dtype", "f32"}).exit_code == 2);
  // A run whose file says nothing of caches has them in f32, and goes on so.
  REQUIRE(draw("narrow", {"--kv-dtype", "f32"}).exit_code == 0);
  CHECK_FALSE(run_of(scratch / "narrow")["options"].contains("kv_dtype"));
  CHECK(products_of(scratch / "narrow") != products_of(scratch / "advised"));
  CHECK(draw("narrow", {"--resume"}).exit_code == 0);
  REQUIRE(draw("wide", {"--precision", "f32"}).exit_code == 0);
  CHECK(run_of(scratch / "wide")["precision"] == "f32");
  // As runs of 0.1.0 are: without a word of precision.
  CHECK(draw("wide", {"--resume"}).exit_code == 0);
  const auto changed = draw("wide", {"--resume", "--precision", "int8"});
  CHECK(changed.exit_code == 2);
  CHECK(changed.error_line().find("--precision") != std::string::npos);

  auto document = nlohmann::json::parse(content_of(model / "model.json"));
  document["sampling"]["precision"] = 8;
  write_file_atomically(model / "model.json", document.dump());
  const auto refused = draw("refused", {});
  CHECK(refused.exit_code == 4);
  CHECK(refused.error_line().find("sampling.precision") != std::string::npos);
}

TEST_CASE("a precision or an instruction set that is not there is refused") {
  test::ScratchDir scratch;
  const auto narrow = run_program(drawing(scratch / "out", {"--precision", "bf16"}),
                                  {.environment = {{"DALLE1_ISA", "avx2"}}});
  CHECK(narrow.exit_code == 2);
  CHECK(narrow.error_line().find("bf16 needs a GPU or a processor") != std::string::npos);
  CHECK(run_program(drawing(scratch / "out", {"--precision", "int4"})).exit_code == 2);
  const auto with_isa = [&](const std::string& isa) {
    return run_program(drawing(scratch / "out", {"--overwrite", "--precision", "int8"}),
                       {.environment = {{"DALLE1_ISA", isa}}});
  };
  const auto unknown = with_isa("sse2");
  CHECK(unknown.exit_code == 2);
  CHECK(unknown.error_line().find("DALLE1_ISA is 'sse2'") != std::string::npos);
  REQUIRE(with_isa("avx2").exit_code == 0);
  const auto expected = content_of(scratch / "out" / "results.jsonl");
  for (const auto isa : {cpu::Isa::avx512, cpu::Isa::vnni, cpu::Isa::bf16, cpu::Isa::amx}) {
    const auto result = with_isa(std::string(cpu::name_of(isa)));
    CAPTURE(cpu::name_of(isa));
    if (cpu::supports(isa)) {
      REQUIRE(result.exit_code == 0);
      // Scores may differ by a rounding; tokens may not.
      const auto tokens = [](const std::string& text) { return text.substr(text.find("\"tokens\"")); };
      CHECK(tokens(content_of(scratch / "out" / "results.jsonl")).substr(0, 100) ==
            tokens(expected).substr(0, 100));
    } else {
      CHECK(result.exit_code == 2);
      CHECK(result.error_line().find("this processor does not have") != std::string::npos);
    }
  }
}
