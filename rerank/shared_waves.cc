#include "rerank/shared_waves.h"

#include <fmt/format.h>

#include <sstream>

#include "core/comm/agreement.h"

namespace dalle1::rerank {

std::vector<uint32_t> pending_of_root(Comm& comm, const std::vector<uint32_t>& pending) {
  return of_root(comm, pending).get<std::vector<uint32_t>>();
}

std::vector<std::vector<ResultRow>> gather_waves(Comm& comm, const std::vector<ResultRow>& rows) {
  std::string mine;
  for (const auto& row : rows) mine += to_line(row) + "\n";
  std::vector<std::vector<ResultRow>> waves;
  for (const auto& said : comm.all_gather(mine)) {
    auto& wave = waves.emplace_back();
    std::istringstream lines(said);
    for (std::string line; std::getline(lines, line);)
      wave.push_back(parse_row(line, fmt::format("rank {}", waves.size() - 1)));
  }
  return waves;
}

}  // namespace dalle1::rerank
