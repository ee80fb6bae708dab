// Processes that work on one job together, each a rank of it: who they are, and what they give each other.
//
// Whatever is summed is summed in the order of the ranks, so that a job repeats to the bit. Every rank makes
// the same calls in the same order, from one thread; abort() may come from any.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/tensor/tensor.h"

namespace dalle1 {

/// A tensor that all ranks have and one of them owns.
struct SharedTensor {
  Tensor like;    ///< Of its shape, type and device, on every rank.
  Tensor tensor;  ///< This rank's; undefined where it has none.
  int owner = 0;
};

class Comm {
 public:
  virtual ~Comm() = default;
  virtual int rank() const { return 0; }
  virtual int size() const { return 1; }
  bool is_root() const { return rank() == 0; }
  /// Where this rank runs.
  virtual std::string host() const = 0;

  /// What each rank says, in their order, on all of them: short messages of any bytes.
  virtual std::vector<std::string> all_gather(const std::string& message) = 0;
  /// Returns once all ranks have called it.
  void barrier() { all_gather({}); }

  /// For each tensor what the ranks have of it, in their order and without those that have none, on its
  /// owner; nothing elsewhere. All of one call travel at once.
  virtual std::vector<std::vector<Tensor>> gather(std::span<const SharedTensor> tensors) = 0;
  /// Overwrites each tensor by its owner's.
  virtual void broadcast(std::span<const SharedTensor> tensors) = 0;

  using Lost = std::function<void(int rank, const std::string& host)>;
  /// Calls `lost`, which is to end the job, from a thread of its own once a rank has not answered for so many
  /// seconds: its process is stopped or has no processor, its machine hangs or cannot be reached. Rank 0
  /// watches all others, and they watch rank 0. Once in a job, by all ranks. Error(device) where MPI does not
  /// let threads call it.
  virtual void watch(double seconds, Lost lost) = 0;

  /// Whether all ranks call this within so many seconds of each other: for a rank that has failed and does
  /// not know whether the others have. Once in a job.
  virtual bool all_arrive(double seconds) = 0;
  /// Ends the processes of all ranks; this one's exit code is the job's.
  [[noreturn]] virtual void abort(int exit_code) = 0;

  /// By this rank, so far: tensors and messages.
  uint64_t bytes_sent() const { return bytes_sent_; }

 protected:
  uint64_t bytes_sent_ = 0;
};

/// A job of this process alone.
std::shared_ptr<Comm> single_comm();

/// Ranks that MPI started, as many as its launcher says; the same again when called again. MPI ends with the
/// process. Error(device) in a build without MPI.
std::shared_ptr<Comm> mpi_comm();
/// What the build has of MPI: its version, or "none".
std::string mpi_version();

/// How many processes a launcher (mpirun, srun) started this one among, by what it left in the environment; 0
/// when none did.
int launched_ranks();

/// Replaces `tensor` (f32 or bf16) by the sum of all ranks': of f32 numbers in the order of the ranks,
/// rounded once to bf16. Each rank sums a part of it.
void all_reduce(Comm& comm, const Tensor& tensor);

}  // namespace dalle1
