#include "transformer/sequence_layout.h"

#include <algorithm>

#include "core/error.h"

namespace dalle1::transformer {

SequenceLayout::SequenceLayout(std::initializer_list<Part> parts) {
  int32_t begin = 0;
  for (const Part& part : parts) {
    segments_.push_back({part.kind, begin, begin + part.size});
    begin += part.size;
  }
}

const Segment& SequenceLayout::of(SegmentKind kind) const {
  const auto found =
      std::find_if(segments_.begin(), segments_.end(), [&](const Segment& s) { return s.kind == kind; });
  check(found != segments_.end(), ErrorKind::internal, "a sequence without a segment of kind {}",
        static_cast<int>(kind));
  return *found;
}

}  // namespace dalle1::transformer
