#include "core/io/byte_order_mark.h"

namespace dalle1 {

std::string_view without_byte_order_mark(std::string_view text, std::string_view what, ErrorKind kind) {
  using namespace std::string_view_literals;
  // The mark of UTF-32 in little-endian order begins with that of UTF-16.
  const bool utf32 = text.starts_with("\xFF\xFE\0\0"sv) || text.starts_with("\0\0\xFE\xFF"sv);
  check(!utf32, kind, "{} is UTF-32; save it as UTF-8", what);
  check(!text.starts_with("\xFF\xFE"sv) && !text.starts_with("\xFE\xFF"sv), kind,
        "{} is UTF-16; save it as UTF-8", what);
  if (text.starts_with("\xEF\xBB\xBF"sv)) text.remove_prefix(3);
  return text;
}

}  // namespace dalle1
