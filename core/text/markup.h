#pragma once

#include <string>
#include <string_view>

namespace dalle1::text {

/// `text` for the inside of elements and quoted attributes of HTML and SVG. Control characters, which XML
/// does not have, are left out.
std::string escape_markup(std::string_view text);

}  // namespace dalle1::text
