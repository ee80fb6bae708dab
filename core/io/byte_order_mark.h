// The mark with which some editors begin text files.
#pragma once

#include <string_view>

#include "core/error.h"

namespace dalle1 {

/// `text` without the mark of UTF-8 (U+FEFF) at its start. Error(kind) "WHAT is UTF-16; save it as UTF-8" for
/// the marks of UTF-16 and UTF-32.
std::string_view without_byte_order_mark(std::string_view text, std::string_view what,
                                         ErrorKind kind = ErrorKind::input);

}  // namespace dalle1
