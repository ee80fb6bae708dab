// A job of one process, which needs no MPI.
#include <doctest/doctest.h>

#include "core/comm/agreement.h"

namespace dalle1::test {

TEST_CASE("a process alone is rank 0 of 1, and its sums are its own numbers") {
  const auto comm = single_comm();
  CHECK(comm->is_root());
  CHECK(comm->size() == 1);
  CHECK(comm->all_gather("x") == std::vector<std::string>{"x"});
  const auto device = make_cpu_device(1);
  const Tensor tensor = Tensor::full(*device, {3}, 2.0f);
  const std::vector<SharedTensor> tensors{{tensor, tensor, 0}, {tensor, Tensor(), 0}};
  const auto gathered = comm->gather(tensors);
  REQUIRE(gathered[0].size() == 1);
  CHECK(gathered[0][0].id() == tensor.id());
  CHECK(gathered[1].empty());
  comm->broadcast(tensors);
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const Tensor sum = tensor.to(dtype);
    all_reduce(*comm, sum);
    CHECK(sum.to_floats() == std::vector<float>(3, 2.0f));
  }
  require_equal_jobs(*comm, {{"version", "1"}});
  CHECK(of_root(*comm, 5) == 5);
  CHECK(on_any(*comm, true));
  CHECK_FALSE(on_any(*comm, false));
  comm->watch(1, [](int, const std::string&) {});
  CHECK(comm->bytes_sent() == 0);
}

}  // namespace dalle1::test
