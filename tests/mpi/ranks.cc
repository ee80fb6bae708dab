#include "tests/mpi/ranks.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace dalle1::test {
namespace {

std::vector<std::string> mpirun() {
  return {DALLE1_MPIRUN, "--allow-run-as-root", "--oversubscribe", "--timeout", "300"};
}

std::string readable(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);  // of a process that may have ended
  return {std::istreambuf_iterator<char>(file), {}};
}

// The fourth word of its stat, behind a name in parentheses.
int parent_of(const std::filesystem::path& process) {
  const std::string stat = readable(process / "stat");
  const size_t name_ends = stat.rfind(')');
  return name_ends == stat.npos ? -1 : std::stoi(stat.substr(name_ends + 4));
}

}  // namespace

ProgramOptions on_ranks(int ranks) {
  ProgramOptions options;
  options.launcher = mpirun();
  options.launcher.insert(options.launcher.end(), {"-n", std::to_string(ranks)});
  return options;
}

ProgramOptions beside_rank_0(const std::vector<std::string>& arguments, const std::string& folder_0,
                             const std::string& folder_1) {
  ProgramOptions options;
  options.launcher = mpirun();
  auto& words = options.launcher;
  words.insert(words.end(), {"-n", "1", "--wdir", folder_0, DALLE1_PROGRAM});
  words.insert(words.end(), arguments.begin(), arguments.end());
  words.insert(words.end(), {":", "-n", "1", "--wdir", folder_1});
  return options;
}

int process_of_rank(int launcher, int rank) {
  const std::string variable = fmt::format("{}OMPI_COMM_WORLD_RANK={}{}", '\0', rank, '\0');
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    int process = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), process).ptr != name.data() + name.size())
      continue;
    if (parent_of(entry.path()) != launcher) continue;
    if (readable(entry.path() / "environ").find(variable) != std::string::npos) return process;
  }
  throw std::runtime_error(fmt::format("mpirun has no rank {}", rank));
}

void says(const ProgramResult& result, int exit_code, const std::string& text) {
  CHECK(result.exit_code == exit_code);
  CHECK_MESSAGE(result.error_line().find(text) != std::string::npos, result.err);
}

}  // namespace dalle1::test
