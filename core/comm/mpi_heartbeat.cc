#include "core/comm/mpi_heartbeat.h"

#include <algorithm>
#include <array>
#include <chrono>

namespace dalle1 {
namespace {

constexpr double kTurn = 0.02;           // seconds between two looks
constexpr double kLongestTurn = 0.5;     // on a busy machine
constexpr double kMostBetween = 1;       // seconds from a question to the next
constexpr double kBetweenWitnesses = 1;  // seconds by which each rank lets the one before it speak first

constexpr char kQuestion = '?', kEnd = '.';

// Lets a turn pass and returns how long it was. One that was itself stopped for a while, as all ranks are
// when a job is suspended, has not waited.
double pass_a_turn() {
  const double begin = MPI_Wtime();
  std::this_thread::sleep_for(std::chrono::duration<double>(kTurn));
  return std::min(MPI_Wtime() - begin, kLongestTurn);
}

// What rank 0 has under way with another.
struct Conversation {
  std::array<MPI_Request, 2> requests = {MPI_REQUEST_NULL, MPI_REQUEST_NULL};  // question, answer
  char answer = 0;
  double waited = 0;  // seconds since the question
  bool asked = false;
};

void ask(Conversation& with, int rank, MPI_Comm comm) {
  MPI_Isend(&kQuestion, 1, MPI_CHAR, rank, 0, comm, &with.requests[0]);
  MPI_Irecv(&with.answer, 1, MPI_CHAR, rank, 0, comm, &with.requests[1]);
  with.waited = 0;
  with.asked = true;
}

bool is_answered(Conversation& with) {
  int done = 0;
  MPI_Testall(2, with.requests.data(), &done, MPI_STATUSES_IGNORE);
  return done;
}

}  // namespace

Heartbeat::Heartbeat(double seconds, std::vector<std::string> hosts, Comm::Lost lost)
    : seconds_(seconds), hosts_(std::move(hosts)), lost_(std::move(lost)) {
  MPI_Comm_dup(MPI_COMM_WORLD, &comm_);
  int rank = 0;
  MPI_Comm_rank(comm_, &rank);
  thread_ = std::thread([this, rank] { rank == 0 ? ask_all() : answer_root(); });
}

Heartbeat::~Heartbeat() {
  MPI_Barrier(comm_);  // the threads still watch who does not come
  ending_ = true;
  thread_.join();
  MPI_Comm_free(&comm_);
}

void Heartbeat::ask_all() {
  std::vector<Conversation> others(hosts_.size());  // that of rank 0 is with nobody
  const double between = std::min(kMostBetween, seconds_ / 4);
  double turn = 0;
  for (bool open = true; open; turn = pass_a_turn()) {
    const bool ending = ending_;
    open = !ending;
    for (int rank = 1; rank < static_cast<int>(others.size()); ++rank) {
      Conversation& with = others[rank];
      with.waited += turn;
      if (with.asked && is_answered(with)) with.asked = false;
      if (with.asked && with.waited > seconds_) lost_(rank, hosts_[rank]);
      if (!with.asked && !ending && with.waited > between) ask(with, rank, comm_);
      open = open || with.asked;
    }
  }
  for (int rank = 1; rank < static_cast<int>(others.size()); ++rank)
    MPI_Send(&kEnd, 1, MPI_CHAR, rank, 0, comm_);
}

void Heartbeat::answer_root() {
  int rank = 0;
  MPI_Comm_rank(comm_, &rank);
  const double patience = seconds_ + kBetweenWitnesses * (rank - 1);
  MPI_Request answer = MPI_REQUEST_NULL;
  for (char word = kQuestion; word != kEnd;) {
    MPI_Request question;
    MPI_Irecv(&word, 1, MPI_CHAR, 0, 0, comm_, &question);
    int done = 0;
    for (double waited = 0; MPI_Test(&question, &done, MPI_STATUS_IGNORE), !done; waited += pass_a_turn())
      if (waited > patience) lost_(0, hosts_[0]);
    MPI_Wait(&answer, MPI_STATUS_IGNORE);  // it has arrived: rank 0 asked again, or came to the end
    if (word == kQuestion) MPI_Isend(&kQuestion, 1, MPI_CHAR, 0, 0, comm_, &answer);
  }
}

}  // namespace dalle1
