// What a set of training data holds, and what of it is left out.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace dalle1 {

struct DataSummary {
  uint64_t samples = 0;
  /// Samples that have no caption, as far as that is known without reading them.
  uint64_t without_caption = 0;
  /// Files, members of a tar and the like by why they are no part of a sample: ".webp", "hidden".
  std::map<std::string, uint64_t> left_out = {};

  void add(const DataSummary& other);
  /// "3 .webp, 2 hidden"; empty when nothing is left out.
  std::string left_out_line() const;
};

}  // namespace dalle1
