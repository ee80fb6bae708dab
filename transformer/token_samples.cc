#include "transformer/token_samples.h"

#include <algorithm>

#include "core/error.h"

namespace dalle1::transformer {

TokenSamples::TokenSamples(const TokenShards& shards, double max_bad,
                           const std::function<void(const std::string&)>& on_bad)
    : shards_(&shards) {
  const double share = max_bad * static_cast<double>(shards.size());
  const uint64_t allowed = max_bad > 0 ? std::max<uint64_t>(1, static_cast<uint64_t>(share)) : 0;
  for (uint64_t index = 0; index < shards.size(); ++index) {
    try {
      without_caption_ += shards.read(index).caption.empty();
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::input) throw;
      on_bad(error.what());
      damaged_.push_back(index);
      check(damaged_.size() <= allowed, ErrorKind::input,
            "{} of {} records are damaged, and {} may be ({}): {}", damaged_.size(), shards.size(), allowed,
            OptionName{"max_bad"}, error);
    }
  }
}

uint64_t TokenSamples::record(uint64_t index) const {
  for (const uint64_t damaged : damaged_) index += damaged <= index;
  return index;
}

}  // namespace dalle1::transformer
