// The single-byte encoding Windows-1252, with its five unassigned bytes passed through.
#pragma once

#include <cstdint>

namespace dalle1::text {

char32_t from_windows1252(uint8_t byte);

/// The byte that stands for `c`, or -1.
int to_windows1252(char32_t c);

}  // namespace dalle1::text
