// Waves of one run that several ranks sample.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/comm/comm.h"
#include "rerank/results.h"

namespace dalle1::rerank {

/// What rank 0 still has to have sampled, on every rank.
std::vector<uint32_t> pending_of_root(Comm& comm, const std::vector<uint32_t>& pending);

/// The scored rows of each rank's wave, in the order of the ranks; without rows where a rank had none.
std::vector<std::vector<ResultRow>> gather_waves(Comm& comm, const std::vector<ResultRow>& rows);

}  // namespace dalle1::rerank
