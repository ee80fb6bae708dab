// Undoes the commonest damage to text: UTF-8 that was read as Latin-1 or Windows-1252 ("cafÃ©", "donâ€™t").
#pragma once

#include <string>
#include <string_view>

namespace dalle1::text {

/// `text` with such damage undone, however often it happened. A line that reads as UTF-8 from end to end is
/// decoded whole; in a line that mixes damaged and sound text each damaged sequence is decoded alone. In both
/// a no-break space that became a plain one is one again where it completes a sequence ("Ã" and a space are
/// "à", "Â" and a space a no-break space), and in whole lines a sequence with a lost byte ("â€" and U+FFFD or
/// "?") becomes U+FFFD. Nothing is touched without evidence: a sequence that natural writing has too, such as
/// a letter before a closing quote ("NESTLÉ®", "Spaß“"), is none. Left out: damage through other code pages
/// (Windows-1250 and -1251, Mac Roman, code page 437).
std::u32string repair_mojibake(std::u32string_view text);

}  // namespace dalle1::text
