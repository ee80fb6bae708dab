// tools/cluster/job.slurm, with a Slurm that only notes what it is told.
#include <doctest/doctest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "tests/mpi/ranks.h"
#include "tests/support/data_files.h"
#include "tests/support/golden.h"
#include "tests/tools/run_files.h"
#include "tests/tools/tiny_model.h"

namespace dalle1::test {

namespace fs = std::filesystem;

TEST_CASE("a Slurm job that comes to its limit is queued again, and its next start ends the work") {
  const ScratchDir scratch;
  write_text(scratch / "bin/scontrol", "#!/bin/sh\necho \"$@\" >> " + (scratch / "told").string() + "\n");
  chmod((scratch / "bin/scontrol").c_str(), 0700);
  const auto out = scratch / "out";
  const std::vector<std::string> words{"sample",   "--model",   shallow_model().string(),
                                       "--prompt", "a red cat", "--candidates",
                                       "64",       "--batch",   "2",
                                       "--out",    out.string()};
  ProgramOptions options;
  options.launcher = {"bash", DALLE1_SOURCE_DIR "/tools/cluster/job.slurm"};
  options.environment = {{"PATH", (scratch / "bin").string() + ":" + getenv("PATH")},
                         {"SLURM_NTASKS", "2"},
                         {"SLURM_CPUS_PER_TASK", "1"},
                         {"SLURM_JOB_ID", "7"},
                         {"OMPI_ALLOW_RUN_AS_ROOT", "1"},
                         {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"}};
  bool sent = false;
  options.watch = [&](int script, double) {
    if (sent || !fs::exists(out / "tokens/wave-000002.jsonl")) return;
    kill(script, SIGUSR1);
    sent = true;
  };
  const auto stopped = run_program(words, options);
  CHECK_MESSAGE(stopped.exit_code == 0, stopped.err);
  CHECK_MESSAGE(stopped.error_line().find("are complete and ranked in") != std::string::npos, stopped.err);
  CHECK(content_of(scratch / "told") == "requeue 7\n");

  options.watch = {};
  const auto ended = run_program(words, options);
  CHECK_MESSAGE(ended.exit_code == 0, ended.err);
  CHECK(content_of(scratch / "told") == "requeue 7\n");  // not again
  CHECK_MESSAGE(ended.out.find("grid.png") != std::string::npos, ended.out);
  REQUIRE(run_program({"sample", "--model", shallow_model().string(), "--prompt", "a red cat", "--candidates",
                       "64", "--batch", "2", "--threads", "1", "--out", (scratch / "one").string()})
              .exit_code == 0);
  CHECK(products_of(out) == products_of(scratch / "one"));

  // A command that fails keeps its exit code, and nothing is queued.
  auto wrong = words;
  wrong[4] = "";
  wrong[2] = "/none";
  CHECK(run_program(wrong, options).exit_code == 4);
  CHECK(content_of(scratch / "told") == "requeue 7\n");
}

}  // namespace dalle1::test
