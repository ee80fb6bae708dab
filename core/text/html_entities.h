// HTML character references (WHATWG HTML standard, sections 13.2.5.72 to 13.2.5.80 and the table of 13.5).
#pragma once

#include <string>
#include <string_view>

namespace dalle1::text {

/// Decodes references as a browser does: all 2,231 named ones, of those without a semicolon the longest name
/// that fits, and numeric ones with the standard's replacements (Windows-1252 for 0x80 to 0x9F, U+FFFD for
/// surrogates and values out of range; control characters and non-characters vanish). Equal to Python's
/// html.unescape.
std::u32string unescape_html(std::u32string_view text);

/// Decodes only what is unambiguous: references that end in a semicolon, names also in all capitals
/// (`&EACUTE;`) where that is not a name of its own. What else begins with `&` stays.
std::u32string unescape_html_strictly(std::u32string_view text);

}  // namespace dalle1::text
