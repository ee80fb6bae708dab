// Repair of damaged or decorated text, as the published CLIP models had it done by the ftfy library (6.x)
// before tokenising.
#pragma once

#include <string>
#include <string_view>

namespace dalle1::text {

/// Line by line, until nothing changes or for eight passes: HTML references that end in a semicolon (not from
/// the first line that contains '<' on), mojibake of UTF-8 read as Latin-1 or Windows-1252, C1 controls read
/// as Windows-1252, Latin ligatures, full-width and half-width forms, straight quotes for curly ones, line
/// breaks to '\n', terminal escapes and control characters removed, NFC. Left out: mojibake through other
/// code pages (see mojibake.h); where natural text resembles mojibake the evidence rule is this project's
/// own.
std::u32string repair_text(std::u32string_view text);

}  // namespace dalle1::text
