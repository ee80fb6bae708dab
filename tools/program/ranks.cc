#include "tools/program/ranks.h"

#include <fmt/format.h>
#include <stdio.h>

#include "tools/program/standard_streams.h"

namespace dalle1::tools {
namespace {

constexpr double kSecondsApart = 2;  // that ranks come to the same failure

std::shared_ptr<Comm> start_job() {
  if (launched_ranks() < 2 || mpi_version() == "none") return single_comm();
  auto comm = mpi_comm();
  if (!comm->is_root() && !freopen("/dev/null", "w", stdout))
    fail(ErrorKind::output, "/dev/null cannot be opened");
  return comm;
}

}  // namespace

const std::shared_ptr<Comm>& job_comm() {
  static const std::shared_ptr<Comm> job = start_job();
  return job;
}

void check_job(const std::string& command, bool on_ranks) {
  if (launched_ranks() < 2) return;
  if (mpi_version() == "none") mpi_comm();  // says so
  check(on_ranks, ErrorKind::usage,
        "'{}' runs in one process, and {} were started; sample, complete, vary, train and doctor share their "
        "work",
        command, job_comm()->size());
}

void end_job(int exit_code, std::string_view message) {
  Comm& comm = *job_comm();
  const bool together = comm.all_arrive(kSecondsApart);
  std::string who;
  if (!comm.is_root()) who = fmt::format("rank {} of {} on {}: ", comm.rank(), comm.size(), comm.host());
  if (comm.is_root() || !together) write_stderr(fmt::format("dalle1: error: {}{}\n", who, message));
  if (!together) comm.abort(exit_code);
}

}  // namespace dalle1::tools
