#include "core/comm/agreement.h"

namespace dalle1 {
namespace {

// Paths need not be UTF-8.
std::string dumped(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string at_field(const nlohmann::json& job, const std::string& field) {
  const nlohmann::json::json_pointer pointer(field);
  return job.contains(pointer) ? dumped(job.at(pointer)) : "nothing";
}

}  // namespace

void require_equal_jobs(Comm& comm, const nlohmann::json& job) {
  const auto said = comm.all_gather(dumped({{"host", comm.host()}, {"job", job}}));
  const auto root = nlohmann::json::parse(said[0]);
  for (size_t rank = 1; rank < said.size(); ++rank) {
    const auto other = nlohmann::json::parse(said[rank]);
    const auto difference = nlohmann::json::diff(root["job"], other["job"]);
    if (difference.empty()) continue;
    const std::string field = difference[0].at("path");
    fail(ErrorKind::usage,
         "rank {} on {}: '{}' is {}, on rank 0 it is {}; start all ranks with the same version, options and "
         "files",
         rank, other["host"].get<std::string>(), field, at_field(other["job"], field),
         at_field(root["job"], field));
  }
}

nlohmann::json of_root(Comm& comm, const nlohmann::json& value) {
  if (comm.size() == 1) return value;
  return nlohmann::json::parse(comm.all_gather(comm.is_root() ? dumped(value) : "")[0]);
}

bool on_any(Comm& comm, bool value) {
  for (const auto& said : comm.all_gather(value ? "1" : ""))
    if (!said.empty()) return true;
  return false;
}

}  // namespace dalle1
