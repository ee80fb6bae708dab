#include "tools/program/ranks.h"

#include <fmt/format.h>
#include <stdio.h>

#include "core/comm/agreement.h"
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

void watch_job(double seconds) {
  Comm& comm = *job_comm();
  if (comm.size() == 1) return;
  check(seconds == 0 || seconds >= 1, ErrorKind::usage, "{} {}: at least 1 second, or 0 to wait for ever",
        OptionName{"rank_timeout"}, seconds);
  seconds = of_root(comm, seconds).get<double>();
  if (seconds == 0) return;
  comm.watch(seconds, [&comm, seconds](int rank, const std::string& host) {
    write_stderr(fmt::format(
        "dalle1: error: rank {} of {} on {} has not answered for {} s (--rank-timeout): its process, its "
        "machine or the network hangs; a run goes on with --resume\n",
        rank, comm.size(), host, seconds));
    comm.abort(static_cast<int>(ErrorKind::device));
  });
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
