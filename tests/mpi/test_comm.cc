// What ranks give each other.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <thread>

#include "core/comm/agreement.h"
#include "core/comm/comm.h"
#include "core/random/philox.h"

namespace dalle1::test {
namespace {

// The numbers of a rank: of sizes so different that the order of a sum shows in its bits.
std::vector<float> numbers_of(int rank, int64_t count) {
  RandomStream random(7, Stream::test, static_cast<uint32_t>(rank));
  std::vector<float> values(count);
  for (float& value : values) value = random.normal() * std::pow(10.0f, 3 * random.uniform());
  return values;
}

// What `sum_in` makes of all ranks' numbers, one after another.
std::vector<float> ordered_sum(int ranks, int64_t count, bool backwards = false) {
  std::vector<float> sum = numbers_of(backwards ? ranks - 1 : 0, count);
  for (int i = 1; i < ranks; ++i) {
    const auto more = numbers_of(backwards ? ranks - 1 - i : i, count);
    for (int64_t k = 0; k < count; ++k) sum[k] += more[k];
  }
  return sum;
}

}  // namespace

TEST_CASE("ranks are those of the launcher, in order, and have a host") {
  const auto comm = mpi_comm();
  REQUIRE(comm->size() == launched_ranks());
  REQUIRE(comm->size() > 1);
  CHECK(mpi_comm() == comm);
  CHECK_FALSE(comm->host().empty());
  CHECK(mpi_version().find("MPI") != std::string::npos);
  const auto said = comm->all_gather(std::string(comm->rank(), 'x'));
  REQUIRE(said.size() == static_cast<size_t>(comm->size()));
  for (int rank = 0; rank < comm->size(); ++rank) CHECK(said[rank] == std::string(rank, 'x'));
  CHECK(comm->is_root() == (comm->rank() == 0));
  comm->barrier();
}

TEST_CASE("tensors go to their owners in the order of the ranks, without those that are not there") {
  const auto comm = mpi_comm();
  const auto device = make_cpu_device(1);
  const Tensor like = Tensor::zeros(*device, {2, 3});
  std::vector<SharedTensor> tensors;
  for (int owner = 0; owner < comm->size(); ++owner) {
    // The rank after the owner has none.
    const bool absent = comm->rank() == (owner + 1) % comm->size();
    const Tensor mine = Tensor::full(*device, {2, 3}, static_cast<float>(10 * owner + comm->rank()));
    tensors.push_back({like, absent ? Tensor() : mine, owner});
  }
  const auto gathered = comm->gather(tensors);
  for (int owner = 0; owner < comm->size(); ++owner) {
    if (owner != comm->rank()) {
      CHECK(gathered[owner].empty());
      continue;
    }
    REQUIRE(gathered[owner].size() == static_cast<size_t>(comm->size() - 1));
    size_t place = 0;
    for (int rank = 0; rank < comm->size(); ++rank)
      if (rank != (owner + 1) % comm->size())
        CHECK(gathered[owner][place++].to_floats() == std::vector<float>(6, 10.0f * owner + rank));
  }
}

TEST_CASE("a broadcast overwrites by the owner's numbers and says so to whom has packed them") {
  const auto comm = mpi_comm();
  const auto device = make_cpu_device(1);
  std::vector<SharedTensor> tensors;
  for (int owner = 0; owner < comm->size(); ++owner) {
    const Tensor mine = Tensor::from(*device, {100}, numbers_of(comm->rank() + owner, 100));
    tensors.push_back({mine, mine, owner});
  }
  const auto before = comm->bytes_sent();
  comm->broadcast(tensors);
  CHECK(comm->bytes_sent() - before == 400u * (comm->size() - 1));
  for (int owner = 0; owner < comm->size(); ++owner) {
    CHECK(tensors[owner].tensor.to_floats() == numbers_of(2 * owner, 100));
    CHECK((tensors[owner].tensor.version() > 0) == (owner != comm->rank()));
  }
}

TEST_CASE("all_reduce sums in the order of the ranks, to the bit, and rounds bf16 once") {
  const auto comm = mpi_comm();
  const auto device = make_cpu_device(1);
  constexpr int64_t count = 1001;  // no multiple of the ranks
  const Tensor sum = Tensor::from(*device, {7, 143}, numbers_of(comm->rank(), count));
  all_reduce(*comm, sum);
  const auto expected = ordered_sum(comm->size(), count);
  CHECK(sum.to_floats() == expected);
  // With more than two ranks another order is another sum: the test can tell them apart.
  CHECK((ordered_sum(comm->size(), count, true) != expected) == (comm->size() > 2));

  const Tensor rounded = Tensor::from(*device, {count}, numbers_of(comm->rank(), count)).to(DType::bf16);
  const Tensor whole = rounded.to(DType::f32);
  all_reduce(*comm, whole);
  all_reduce(*comm, rounded);
  CHECK(rounded.to_floats() == whole.to(DType::bf16).to_floats());

  // Fewer numbers than ranks.
  const Tensor one = Tensor::full(*device, {1}, static_cast<float>(comm->rank() + 1));
  all_reduce(*comm, one);
  CHECK(one.item() == comm->size() * (comm->size() + 1) / 2);
  const Tensor whole_numbers = Tensor::from(*device, {2}, std::vector<int64_t>{1, 2});
  CHECK_THROWS_WITH_AS(all_reduce(*comm, whole_numbers), "all_reduce of i64", Error);
}

TEST_CASE("ranks with another job are named with what differs") {
  const auto comm = mpi_comm();
  nlohmann::json job = {{"version", "1"}, {"train", {{"batch", 4}}}};
  require_equal_jobs(*comm, job);
  if (comm->rank() == 1) job["train"]["batch"] = 8;
  CHECK_THROWS_WITH_AS(require_equal_jobs(*comm, job),
                       doctest::Contains("'/train/batch' is 8, on rank 0 it is 4"), Error);
  CHECK_THROWS_WITH_AS(require_equal_jobs(*comm, job),
                       doctest::Contains(("rank 1 on " + comm->host()).c_str()), Error);
  job = {{"version", "1"}};
  if (comm->rank() == comm->size() - 1) job["init_from"] = "\xff";  // a path need not be UTF-8
  CHECK_THROWS_WITH_AS(require_equal_jobs(*comm, job), doctest::Contains("on rank 0 it is nothing"), Error);
}

TEST_CASE("what rank 0 says and what any rank says") {
  const auto comm = mpi_comm();
  CHECK(of_root(*comm, {{"rank", comm->rank()}}) == nlohmann::json{{"rank", 0}});
  CHECK(on_any(*comm, comm->rank() == comm->size() - 1));
  CHECK_FALSE(on_any(*comm, false));
}

TEST_CASE("a rank that works by itself for longer than it may be silent is not called lost") {
  const auto comm = mpi_comm();
  static std::atomic<int> lost = 0;
  comm->watch(1, [](int, const std::string&) { ++lost; });
  if (comm->is_root()) std::this_thread::sleep_for(std::chrono::milliseconds(2500));
  comm->barrier();
  CHECK(lost == 0);
}

TEST_CASE("ranks that all come are told from those that wait elsewhere") {
  const auto comm = mpi_comm();
  // The last one comes when the others have given up; that ends the one meeting that a job has.
  const bool last = comm->rank() == comm->size() - 1;
  if (last) std::this_thread::sleep_for(std::chrono::milliseconds(500));
  CHECK(comm->all_arrive(last ? 5 : 0.05) == last);
  comm->barrier();
}

}  // namespace dalle1::test
