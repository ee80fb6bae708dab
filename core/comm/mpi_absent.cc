// Stands in for MPI in builds without it.
#include "core/comm/comm.h"

namespace dalle1 {

std::shared_ptr<Comm> mpi_comm() {
  fail(ErrorKind::device,
       "this build has no MPI, and a launcher started it as one of {} processes; build it with "
       "-DDALLE1_MPI=ON, or start one process",
       launched_ranks());
}

std::string mpi_version() { return "none"; }

}  // namespace dalle1
