// Token shards as a training reads them: past a bounded number of damaged records.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/data/token_shard.h"

namespace dalle1::transformer {

class TokenSamples {
 public:
  /// Every record; a damaged one is an error when it is read. The shards are kept by the caller.
  TokenSamples(const TokenShards& shards) : shards_(&shards) {}
  /// Reads everything once and leaves out the damaged records, each of which `on_bad` hears of in one line.
  /// Error(input) once they are more than the share `max_bad` of all; above 0 one is always allowed, at 0
  /// none.
  TokenSamples(const TokenShards& shards, double max_bad,
               const std::function<void(const std::string&)>& on_bad);

  uint64_t size() const { return shards_->size() - damaged_.size(); }
  /// Samples whose caption is empty, of what was read at the start: they are learned without a prompt.
  uint64_t without_caption() const { return without_caption_; }
  /// Record `index` of those that are left.
  TokenRecord read(uint64_t index) const { return shards_->read(record(index)); }
  /// Its number among all.
  uint64_t record(uint64_t index) const;

 private:
  const TokenShards* shards_;
  std::vector<uint64_t> damaged_;  // rising
  uint64_t without_caption_ = 0;
};

}  // namespace dalle1::transformer
