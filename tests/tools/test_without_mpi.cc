// A build without MPI that a launcher starts several times.
#include <doctest/doctest.h>

#include "tests/tools/program.h"

using namespace dalle1;

TEST_CASE("a build without MPI says so where a launcher starts several processes of it") {
  test::ProgramOptions options;
  options.environment = {{"OMPI_COMM_WORLD_SIZE", "4"}};
  for (const std::string command : {"doctor", "info", "sample"}) {
    const auto result = test::run_program({command}, options);
    CHECK(result.exit_code == 6);
    CHECK_MESSAGE(result.error_line().find("has no MPI, and a launcher started it as one of 4 processes") !=
                      std::string::npos,
                  result.err);
  }
  options.environment = {{"OMPI_COMM_WORLD_SIZE", "1"}};
  const auto alone = test::run_program({"doctor", "--threads", "1"}, options);
  CHECK(alone.exit_code == 0);
  CHECK_MESSAGE(alone.out.find("mpi      none\n") != std::string::npos, alone.out);
}
