// What ranks have to agree on before they work together, and while they do.
#pragma once

#include <nlohmann/json.hpp>

#include "core/comm/comm.h"

namespace dalle1 {

/// Error(usage), on all ranks, that names the first rank whose job is not rank 0's, its host, and the first
/// field that differs with both values.
void require_equal_jobs(Comm& comm, const nlohmann::json& job);

/// Rank 0's value.
nlohmann::json of_root(Comm& comm, const nlohmann::json& value);
/// Whether it holds on any rank.
bool on_any(Comm& comm, bool value);

}  // namespace dalle1
