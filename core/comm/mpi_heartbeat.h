// Finds ranks that have stopped answering: a hung process, machine or link, of which MPI says nothing.
//
// A thread of rank 0 asks every rank and waits for its answer, a thread of each rank answers and waits to be
// asked, so long work of a rank's own is no silence. A rank whose work hangs while its threads run is not
// found.
#pragma once

#include <mpi.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "core/comm/comm.h"

namespace dalle1 {

/// Made and destroyed by all ranks, in an MPI that lets threads call it.
class Heartbeat {
 public:
  /// `hosts`: of each rank.
  Heartbeat(double seconds, std::vector<std::string> hosts, Comm::Lost lost);
  ~Heartbeat();  ///< Waits for all ranks to come to theirs.

 private:
  void ask_all();
  void answer_root();

  double seconds_;
  std::vector<std::string> hosts_;
  Comm::Lost lost_;
  MPI_Comm comm_ = MPI_COMM_NULL;
  std::atomic<bool> ending_ = false;
  std::thread thread_;
};

}  // namespace dalle1
