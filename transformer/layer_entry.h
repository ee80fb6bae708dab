// Entries of a schedule's list: what one layer sees, as a short text.
//
//   row, column, dense      as in the paper
//   axial_row               what is before in the same row (DALLE-pytorch)
//   conv[:KERNEL[:WRAP]]    a window of its own size; absent parts are the schedule's
//   table:FILE              a square PNG (bright = sees) or integer .npy over text_length + grid * grid
//                           positions
//   random:SEED:ENTRY       the control: each image position sees the text, itself and as many earlier
//                           image positions, drawn at random, as under ENTRY (none of the last two)
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "core/attention/attention_pattern.h"

namespace dalle1::transformer {

/// Where an entry stands: what it needs to know of its model.
struct EntryPlace {
  int32_t text_length = 0;
  int32_t grid = 0;
  int32_t kernel = 11;
  std::string wrap = "raster";
};

/// The pattern of an entry with `text_slots` of its text positions; a table loses the rows and columns of the
/// others. Tables are read and drawn once a process. Error(model) for an unknown entry, Error(input) for a
/// file that is no table of this size.
AttentionPattern pattern_of_entry(const std::string& entry, const EntryPlace& place, int32_t text_slots);

/// Throws what pattern_of_entry and dalle1::validate have against it, with the entry named in front.
void validate_entry(const std::string& entry, const EntryPlace& place);

/// A table in a file: a square PNG (bright = sees) or an integer .npy of two axes, queries down, keys across.
std::shared_ptr<const PatternBits> read_pattern_table(const std::filesystem::path& path);

ConvWrap wrap_from_name(const std::string& name);

}  // namespace dalle1::transformer
