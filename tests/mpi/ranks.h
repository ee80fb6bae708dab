// Starting the program on several ranks, finding one of them, and what all say at the end.
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

/// That it failed with this exit code and one line, which has the text.
void says(const ProgramResult& result, int exit_code, const std::string& text);

}  // namespace dalle1::test
