// Ranks that MPI started. CPU tensors travel from where they lie; a GPU's go through host memory.
#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <thread>

#include "core/comm/mpi_heartbeat.h"

namespace dalle1 {
namespace {

constexpr size_t kMostBytes = size_t{1} << 30;  // of a message: MPI counts in int

int count_of(size_t n) { return static_cast<int>(n); }

// Messages under way at once. A tensor that is not there goes as empty messages.
class Transfers {
 public:
  void send(const Tensor& tensor, size_t bytes, int rank) {
    if (!tensor.defined()) return post(nullptr, bytes, rank, Way::nothing);
    void* from = tensor.raw();
    if (!tensor.device().is_cpu()) {
      from = staged_.emplace_back(std::make_unique<std::byte[]>(bytes)).get();
      tensor.device().copy_to_host(from, tensor.raw(), bytes);
    }
    post(from, bytes, rank, Way::out);
  }

  /// wait() then leaves an undefined tensor in `tensor` if that is what was sent.
  void receive(Tensor& tensor, int rank) {
    if (tensor.bytes() == 0) return;
    void* to = tensor.raw();
    if (!tensor.device().is_cpu())
      to = staged_.emplace_back(std::make_unique<std::byte[]>(tensor.bytes())).get();
    arrivals_.push_back({requests_.size(), &tensor, to});
    post(to, tensor.bytes(), rank, Way::in);
  }

  void wait() {
    std::vector<MPI_Status> statuses(requests_.size());
    MPI_Waitall(count_of(requests_.size()), requests_.data(), statuses.data());
    for (const Arrival& arrival : arrivals_) {
      int bytes = 0;
      MPI_Get_count(&statuses[arrival.request], MPI_BYTE, &bytes);
      Tensor& tensor = *arrival.tensor;
      if (bytes == 0) {
        tensor = Tensor();
        continue;
      }
      if (arrival.host != tensor.raw())
        tensor.device().copy_from_host(tensor.raw(), arrival.host, tensor.bytes());
      tensor.touch();
    }
  }

  uint64_t bytes_sent() const { return bytes_sent_; }

 private:
  enum class Way { in, out, nothing };
  struct Arrival {
    size_t request;  // its first
    Tensor* tensor;
    void* host;
  };

  void post(void* data, size_t bytes, int rank, Way way) {
    for (size_t begin = 0; begin < bytes; begin += kMostBytes) {
      char* at = static_cast<char*>(data) + begin;
      const int count = count_of(std::min(kMostBytes, bytes - begin));
      MPI_Request& request = requests_.emplace_back();
      if (way == Way::in)
        MPI_Irecv(at, count, MPI_BYTE, rank, 0, MPI_COMM_WORLD, &request);
      else
        MPI_Isend(at, way == Way::nothing ? 0 : count, MPI_BYTE, rank, 0, MPI_COMM_WORLD, &request);
    }
    if (way == Way::out) bytes_sent_ += bytes;
  }

  std::vector<MPI_Request> requests_;
  std::vector<Arrival> arrivals_;
  std::vector<std::unique_ptr<std::byte[]>> staged_;
  uint64_t bytes_sent_ = 0;
};

class MpiComm final : public Comm {
 public:
  MpiComm() {
    MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &threads_);  // the work's and the heartbeat's
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
    MPI_Comm_dup(MPI_COMM_WORLD, &failed_);
  }
  ~MpiComm() override {
    heartbeat_.reset();
    MPI_Finalize();
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  std::string host() const override {
    char name[MPI_MAX_PROCESSOR_NAME] = {};
    int length = 0;
    MPI_Get_processor_name(name, &length);
    return {name, static_cast<size_t>(length)};
  }

  std::vector<std::string> all_gather(const std::string& message) override {
    const int length = count_of(message.size());
    std::vector<int> lengths(size_), places(size_);
    MPI_Allgather(&length, 1, MPI_INT, lengths.data(), 1, MPI_INT, MPI_COMM_WORLD);
    int total = 0;
    for (int rank = 0; rank < size_; ++rank) {
      places[rank] = total;
      total += lengths[rank];
    }
    std::string all(total, '\0');
    MPI_Allgatherv(message.data(), length, MPI_BYTE, all.data(), lengths.data(), places.data(), MPI_BYTE,
                   MPI_COMM_WORLD);
    bytes_sent_ += message.size() * (size_ - 1);
    std::vector<std::string> said;
    for (int rank = 0; rank < size_; ++rank) said.push_back(all.substr(places[rank], lengths[rank]));
    return said;
  }

  std::vector<std::vector<Tensor>> gather(std::span<const SharedTensor> tensors) override {
    std::vector<std::vector<Tensor>> all(tensors.size());
    Transfers transfers;
    for (size_t i = 0; i < tensors.size(); ++i) {
      const auto& [like, tensor, owner] = tensors[i];
      if (owner != rank_) {
        transfers.send(tensor, like.bytes(), owner);
        continue;
      }
      all[i].resize(size_);  // before the first is received: they stay where they are
      for (int rank = 0; rank < size_; ++rank) {
        Tensor& place = all[i][rank];
        place = rank == rank_ ? tensor : Tensor::empty(like.device(), like.shape(), like.dtype());
        if (rank != rank_) transfers.receive(place, rank);
      }
    }
    finish(transfers);
    for (auto& of_ranks : all) std::erase_if(of_ranks, [](const Tensor& t) { return !t.defined(); });
    return all;
  }

  void broadcast(std::span<const SharedTensor> tensors) override {
    Transfers transfers;
    std::vector<Tensor> arriving(tensors.size());
    for (size_t i = 0; i < tensors.size(); ++i) {
      arriving[i] = tensors[i].tensor;
      if (tensors[i].owner != rank_) {
        transfers.receive(arriving[i], tensors[i].owner);
        continue;
      }
      for (int rank = 0; rank < size_; ++rank)
        if (rank != rank_) transfers.send(tensors[i].tensor, tensors[i].tensor.bytes(), rank);
    }
    finish(transfers);
  }

  void watch(double seconds, Lost lost) override {
    check(threads_ == MPI_THREAD_MULTIPLE, ErrorKind::device,
          "this MPI does not let threads call it, so hung ranks cannot be found");
    heartbeat_ = std::make_unique<Heartbeat>(seconds, all_gather(host()), std::move(lost));
  }

  bool all_arrive(double seconds) override {
    MPI_Request request;
    MPI_Ibarrier(failed_, &request);
    int done = 0;
    for (const double end = MPI_Wtime() + seconds; !done && MPI_Wtime() < end;) {
      MPI_Test(&request, &done, MPI_STATUS_IGNORE);
      if (!done) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return done;
  }

  void abort(int exit_code) override {
    MPI_Abort(MPI_COMM_WORLD, exit_code);
    std::abort();  // MPI_Abort does not return
  }

 private:
  void finish(Transfers& transfers) {
    transfers.wait();
    bytes_sent_ += transfers.bytes_sent();
  }

  int rank_ = 0, size_ = 1;
  int threads_ = MPI_THREAD_SINGLE;  // what MPI bears
  MPI_Comm failed_ = MPI_COMM_NULL;  // those who have come to all_arrive(), whatever the others wait for
  std::unique_ptr<Heartbeat> heartbeat_;
};

}  // namespace

std::shared_ptr<Comm> mpi_comm() {
  static const std::shared_ptr<Comm> world = std::make_shared<MpiComm>();
  return world;
}

std::string mpi_version() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = {};
  int length = 0;
  MPI_Get_library_version(text, &length);
  const std::string version(text, static_cast<size_t>(length));
  return version.substr(0, version.find(','));
}

}  // namespace dalle1
