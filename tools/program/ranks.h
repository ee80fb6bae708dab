// The processes that a launcher such as mpirun started of this program, and how they end together.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/comm/comm.h"

namespace dalle1::tools {

/// All of them, or this process alone. Rank 0 speaks for all: the others' stdout leads nowhere and they show
/// no progress.
const std::shared_ptr<Comm>& job_comm();

/// Error(device) when several processes were started of a build without MPI, Error(usage) when they were of a
/// command whose work is not shared.
void check_job(const std::string& command, bool on_ranks);

/// From now on a rank that does not answer for so many seconds (rank 0's, those of the others do not matter)
/// is named in one line, and all end; 0: never.
void watch_job(double seconds);

/// Prints a failure in one line: rank 0 does where it happens to all ranks alike, and then this returns; a
/// rank that fails alone prints its name with it and ends all of them.
void end_job(int exit_code, std::string_view message);

}  // namespace dalle1::tools
