// Two hosts on this machine: network namespaces with names of their own, joined by a cable that can be cut,
// over which Open MPI starts and connects ranks as it does between machines.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <stdexcept>

#include "tests/mpi/trainings.h"
#include "tests/support/data_files.h"
#include "tests/tools/run_files.h"

namespace dalle1::test {
namespace {

// What a shell command prints; throws with it when the command fails.
std::string shell(const std::string& command) {
  FILE* pipe = popen(("{ " + command + "; } 2>&1").c_str(), "r");
  if (!pipe) throw std::runtime_error("no shell");
  std::string printed;
  for (int c; (c = fgetc(pipe)) != EOF;) printed += static_cast<char>(c);
  if (pclose(pipe) != 0) throw std::runtime_error(command + ": " + printed);
  return printed;
}

class Hosts {
 public:
  Hosts() {
    if (geteuid() != 0) throw std::runtime_error("network namespaces need root");
    try {
      for (const int host : {1, 2}) shell("ip netns add " + name(host));
      shell(fmt::format("ip link add {} netns {} type veth peer name {} netns {}", kCable, name(1), kCable,
                        name(2)));
      for (const int host : {1, 2}) {
        inside(host, fmt::format("addr add {}/24 dev {}", address(host), kCable));
        inside(host, "link set lo up");
        // mpirun ends once TCP has given its daemon up, which else takes a quarter of an hour.
        shell(fmt::format("ip netns exec {} sysctl -w net.ipv4.tcp_retries2=5", name(host)));
        inside(host, fmt::format("link set {} up", kCable));
      }
      shell("unshare --uts true");
    } catch (...) {
      remove();
      throw;
    }
    // What Open MPI calls in the place of ssh.
    write_text(scratch_ / "agent",
               "#!/bin/sh\nhost=" + name("${1##*.}") + "\nshift\n" + on_host("$host", "sh -c \"$*\"") + "\n");
    chmod((scratch_ / "agent").c_str(), 0700);
  }
  ~Hosts() { remove(); }
  Hosts(const Hosts&) = delete;
  Hosts& operator=(const Hosts&) = delete;

  /// Even ranks on the first host, odd ones on the second.
  ProgramOptions ranks(int count) const {
    ProgramOptions options;
    options.launcher = {"sh",
                        "-c",
                        on_host(name(1), "\"$@\""),
                        "sh",
                        DALLE1_MPIRUN,
                        "--allow-run-as-root",
                        "--map-by",
                        "node",
                        "--host",
                        fmt::format("{}:4,{}:4", address(1), address(2)),
                        "--mca",
                        "plm_rsh_agent",
                        (scratch_ / "agent").string(),
                        "-n",
                        std::to_string(count)};
    return options;
  }
  void cut() const { inside(2, fmt::format("link set {} down", kCable)); }
  void join() const { inside(2, fmt::format("link set {} up", kCable)); }

 private:
  static constexpr const char* kCable = "cable";
  static std::string address(int host) { return fmt::format("10.91.7.{}", host); }
  template <typename Number>
  static std::string name(const Number& host) {
    return fmt::format("dalle1-{}-host-{}", getpid(), host);
  }
  // A shell's command line: runs `words` on a host.
  static std::string on_host(const std::string& host, const std::string& words) {
    return fmt::format("exec ip netns exec {0} unshare --uts sh -c 'hostname \"$0\" && exec \"$@\"' {0} {1}",
                       host, words);
  }
  static void inside(int host, const std::string& command) {
    shell(fmt::format("ip -n {} {}", name(host), command));
  }
  static void remove() {
    for (const int host : {1, 2}) try {
        shell(fmt::format("ip netns pids {0} | xargs -r kill -9; ip netns del {0}", name(host)));
      } catch (const std::runtime_error&) {  // it was not made
      }
  }

  ScratchDir scratch_;
};

// Those of this machine, or null and a line that says why there are none.
std::unique_ptr<Hosts> try_hosts() {
  try {
    return std::make_unique<Hosts>();
  } catch (const std::runtime_error& error) {
    MESSAGE("skipped: ", error.what());
    return nullptr;
  }
}

constexpr int64_t kSteps = 300;

std::vector<std::string> words_for(const std::string& out, const char* rank_timeout = "60") {
  return with(training(models()[0], out, json::object(), kSteps), {"--rank-timeout", rank_timeout});
}

bool has_begun(const std::string& out) {
  return fs::exists(fs::path(data().at(out)) / "checkpoints/checkpoint-00000010.safetensors");
}

const std::string& local() {
  static const std::string folder = [] {
    succeeds(run_program(words_for("local")));
    return data().at("local");
  }();
  return folder;
}

constexpr const char* kLast = "checkpoint-00000300.safetensors";

}  // namespace

TEST_SUITE_BEGIN("long");

TEST_CASE("ranks on two hosts give the bits of one process") {
  const auto hosts = try_hosts();
  if (!hosts) return;
  const auto doctor = run_program({"doctor", "--json", "--threads", "1"}, hosts->ranks(2));
  succeeds(doctor);
  const auto ranks = json::parse(doctor.out)["job"]["ranks"];
  CHECK(ranks[0]["host"] != ranks[1]["host"]);
  for (const Model& model : models()) {
    CAPTURE(model.name);
    const auto one = model.name + "-here", two = model.name + "-hosts";
    succeeds(run_program(training(model, one)));
    succeeds(run_program(training(model, two), hosts->ranks(4)));
    same_run(data().at(two), data().at(one), "checkpoint-00000006.safetensors");
  }
}

TEST_CASE("a cable that is cut for five seconds holds a training up, and nothing else") {
  const auto hosts = try_hosts();
  if (!hosts) return;
  double cut_at = -1, joined_at = -1, ended_at = 0;
  auto options = hosts->ranks(2);
  options.watch = [&](int, double seconds) {
    ended_at = seconds;
    if (cut_at < 0 && has_begun("held-up")) {
      hosts->cut();
      cut_at = seconds;
    }
    if (cut_at < 0 || joined_at >= 0 || seconds - cut_at < 5) return;
    hosts->join();
    joined_at = seconds;
  };
  succeeds(run_program(words_for("held-up"), options));
  REQUIRE(joined_at > 0);
  CHECK(ended_at > joined_at);
  same_run(data().at("held-up"), local(), kLast);
}

TEST_CASE("a cable that is cut for good ends the job and names the rank behind it; the run goes on") {
  const auto hosts = try_hosts();
  if (!hosts) return;
  double cut_at = -1, ended_at = 0;
  auto options = hosts->ranks(2);
  options.watch = [&](int, double seconds) {
    ended_at = seconds;
    if (cut_at >= 0 || !has_begun("cut")) return;
    hosts->cut();
    cut_at = seconds;
  };
  const auto result = run_program(words_for("cut", "8"), options);
  REQUIRE(cut_at > 0);
  says(result, 6, "rank 1 of 2 on ");
  says(result, 6, "-host-2 has not answered for 8 s");
  CHECK(ended_at - cut_at < 60);
  succeeds(run_program(with(words_for("cut"), {"--resume"}), on_ranks(2)));
  same_run(data().at("cut"), local(), kLast);
}

TEST_SUITE_END();

}  // namespace dalle1::test
