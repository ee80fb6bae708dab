// Which members of a webdataset shard form a sample.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/data/data_summary.h"

namespace dalle1 {

inline constexpr uint64_t kNoMember = UINT64_MAX;

/// Where the members' headers are.
struct ShardSample {
  uint64_t picture = kNoMember, caption = kNoMember;
};

/// The key of a member is its path up to the first dot of its last part, its stem up to the last dot. A
/// picture and a caption of one stem are a sample, as in a folder. Where a key has no such stem, a single
/// picture ("0001.input.jpg") takes the single caption of the key ("0001.outputs.txt"), and pictures without
/// any caption are a sample each, unless one has no more than the key for a stem: then the others are further
/// fields of it. txt goes before json. What remains is left out and counted.
class ShardMembers {
 public:
  explicit ShardMembers(DataSummary& summary) : summary_(summary) {}

  void add(const std::string& name, uint64_t offset);
  /// In the order in which their keys, then their stems came.
  std::vector<ShardSample> samples() const;

 private:
  struct Stem {
    std::string name;
    uint64_t picture = kNoMember, text = kNoMember, json = kNoMember;

    bool has_caption() const { return text != kNoMember || json != kNoMember; }
  };
  struct Key {
    std::string name;
    std::vector<size_t> stems;  // places in stems_
    bool has_other_picture = false;
  };

  Key& key_of(const std::string& name);
  Stem& stem_of(const std::string& name, Key& key);
  void append(const Key& key, std::vector<ShardSample>& samples) const;
  void leave_out(const std::string& why, uint64_t count) const;

  DataSummary& summary_;
  std::vector<Key> keys_;
  std::vector<Stem> stems_;
  std::unordered_map<std::string, size_t> key_places_, stem_places_;
};

}  // namespace dalle1
