#include "core/comm/comm.h"

#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

#include "core/kernels/kernels.h"

namespace dalle1 {
namespace {

class SingleComm final : public Comm {
 public:
  std::string host() const override { return "this machine"; }
  std::vector<std::string> all_gather(const std::string& message) override { return {message}; }
  std::vector<std::vector<Tensor>> gather(std::span<const SharedTensor> tensors) override {
    std::vector<std::vector<Tensor>> all(tensors.size());
    for (size_t i = 0; i < tensors.size(); ++i)
      if (tensors[i].tensor.defined()) all[i].push_back(tensors[i].tensor);
    return all;
  }
  void broadcast(std::span<const SharedTensor>) override {}
  void watch(double, Lost) override {}
  bool all_arrive(double) override { return true; }
  void abort(int exit_code) override { _exit(exit_code); }
};

// Whole, or in as many parts as there are ranks, each of which has one to sum.
std::vector<SharedTensor> parts_of(const Tensor& tensor, int ranks) {
  const Tensor flat = tensor.view({tensor.numel()});
  std::vector<SharedTensor> parts;
  for (int rank = 0; rank < ranks; ++rank) {
    const int64_t begin = flat.numel() * rank / ranks, end = flat.numel() * (rank + 1) / ranks;
    if (begin == end) continue;
    const Tensor part = flat.rows(begin, end);
    parts.push_back({part, part, rank});
  }
  return parts;
}

}  // namespace

std::shared_ptr<Comm> single_comm() { return std::make_shared<SingleComm>(); }

int launched_ranks() {
  // Of Open MPI, of MPICH and its kin, of Slurm's own start.
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"}) {
    // srun gives every step its number of tasks, those without MPI, too.
    if (std::string_view(name).starts_with("SLURM") && !getenv("PMIX_RANK")) continue;
    const char* value = getenv(name);
    int ranks = 0;
    if (value && std::from_chars(value, value + std::string_view(value).size(), ranks).ec == std::errc())
      return ranks;
  }
  return 0;
}

void all_reduce(Comm& comm, const Tensor& tensor) {
  check(tensor.dtype() == DType::f32 || tensor.dtype() == DType::bf16, ErrorKind::internal,
        "all_reduce of {}", name_of(tensor.dtype()));
  const std::vector<SharedTensor> parts = parts_of(tensor, comm.size());
  const auto gathered = comm.gather(parts);
  for (size_t i = 0; i < parts.size(); ++i) {
    if (gathered[i].empty()) continue;
    Tensor sum = gathered[i][0].to(DType::f32).clone();
    for (size_t rank = 1; rank < gathered[i].size(); ++rank)
      sum.kernels().add_scaled(gathered[i][rank].to(DType::f32), 1.0f, sum);
    parts[i].tensor.copy_from(sum.to(tensor.dtype()));
  }
  comm.broadcast(parts);
  tensor.touch();
}

}  // namespace dalle1
