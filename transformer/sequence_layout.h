// What the positions of a sequence hold, segment after segment: the one place that says where each begins.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

namespace dalle1::transformer {

enum class SegmentKind : uint8_t {
  text,    ///< Tokens of a text, with the one that the model puts in front of it, if any.
  grid,    ///< Image tokens, cell after cell.
  vectors  ///< Vectors that stand for a picture.
};

/// Positions [begin, end).
struct Segment {
  SegmentKind kind;
  int32_t begin = 0;
  int32_t end = 0;

  int32_t size() const { return end - begin; }
};

class SequenceLayout {
 public:
  struct Part {
    SegmentKind kind;
    int32_t size;
  };
  /// In the order of their positions, no kind twice.
  SequenceLayout(std::initializer_list<Part> parts);

  /// Positions of all segments.
  int32_t length() const { return segments_.back().end; }
  /// Error(internal) where the sequence has no such segment.
  const Segment& of(SegmentKind kind) const;
  const Segment& text() const { return of(SegmentKind::text); }
  const Segment& grid() const { return of(SegmentKind::grid); }
  const Segment& vectors() const { return of(SegmentKind::vectors); }

 private:
  std::vector<Segment> segments_;
};

}  // namespace dalle1::transformer
