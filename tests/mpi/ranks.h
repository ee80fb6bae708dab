// Starting the program on several ranks, and finding one of them.
#pragma once

#include <string>
#include <vector>

#include "tests/tools/program.h"

namespace dalle1::test {

/// mpirun with so many ranks of what is run.
ProgramOptions on_ranks(int ranks);

/// mpirun with two: rank 0 is the program with these arguments, rank 1 what is run. Each in a folder of its
/// own where these are given.
ProgramOptions beside_rank_0(const std::vector<std::string>& arguments, const std::string& folder_0 = ".",
                             const std::string& folder_1 = ".");

/// The process that this launcher started as a rank; throws when there is none.
int process_of_rank(int launcher, int rank);

}  // namespace dalle1::test
