#include "core/text/text_repair.h"

#include <algorithm>

#include "core/text/html_entities.h"
#include "core/text/mojibake.h"
#include "core/text/unicode.h"
#include "core/text/windows1252.h"

namespace dalle1::text {
namespace {

std::u32string_view ligature_letters(char32_t c) {
  switch (c) {
    case 0x0132:
      return U"IJ";
    case 0x0133:
      return U"ij";
    case 0x0149:
      return U"\u02BCn";
    case 0x01C4:
      return U"D\u017D";
    case 0x01C5:
      return U"D\u017E";
    case 0x01C6:
      return U"d\u017E";
    case 0x01C7:
      return U"LJ";
    case 0x01C8:
      return U"Lj";
    case 0x01C9:
      return U"lj";
    case 0x01CA:
      return U"NJ";
    case 0x01CB:
      return U"Nj";
    case 0x01CC:
      return U"nj";
    case 0x01F1:
      return U"DZ";
    case 0x01F2:
      return U"Dz";
    case 0x01F3:
      return U"dz";
    case 0xFB00:
      return U"ff";
    case 0xFB01:
      return U"fi";
    case 0xFB02:
      return U"fl";
    case 0xFB03:
      return U"ffi";
    case 0xFB04:
      return U"ffl";
    case 0xFB05:
      return U"\u017Ft";
    case 0xFB06:
      return U"st";
    default:
      return {};
  }
}

// Invisible and misleading: ASCII controls that are no space, deprecated Arabic controls, the byte order
// mark, annotation marks and the object replacement character.
bool is_removed(char32_t c) {
  if (c < 0x20) return c != '\t' && c != '\n' && c != '\f' && c != '\r';
  return c == 0x7F || (c >= 0x206A && c <= 0x206F) || c == 0xFEFF || (c >= 0xFFF9 && c <= 0xFFFC);
}

// Length of the terminal escape ESC [ digits and semicolons, letter; 0 where none begins.
size_t terminal_escape(std::u32string_view text) {
  if (!text.starts_with(U"\x1B[")) return 0;
  size_t end = 2;
  while (end < text.size() && ((text[end] >= '0' && text[end] <= '9') || text[end] == ';')) ++end;
  const bool letter = end < text.size() && text[end] < 0x80 && is_letter(text[end]);
  return letter ? end + 1 : 0;
}

void append_repaired(std::u32string& out, char32_t c) {
  if (c >= 0x80 && c < 0xA0) c = from_windows1252(static_cast<uint8_t>(c));
  if (const auto letters = ligature_letters(c); !letters.empty()) {
    for (char32_t letter : letters) append_repaired(out, letter);
  } else if (c == 0x3000) {
    out += U' ';
  } else if (c >= 0xFF01 && c <= 0xFFEF) {
    out += to_nfkc({&c, 1});
  } else if (c == 0x02BC || (c >= 0x2018 && c <= 0x201B)) {
    out += U'\'';
  } else if (c >= 0x201C && c <= 0x201F) {
    out += U'"';
  } else if (c == 0x2028 || c == 0x2029) {
    out += U'\n';
  } else {
    out += c;
  }
}

std::u32string repair_characters(std::u32string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    if (const size_t escape = terminal_escape(text.substr(at))) {
      at += escape;
    } else if (text[at] == '\r') {
      at += text.substr(at).starts_with(U"\r\n") ? 2 : 1;
      out += U'\n';
    } else {
      if (!is_removed(text[at])) append_repaired(out, text[at]);
      ++at;
    }
  }
  return out;
}

// A pass can uncover work for the next. Honest text needs two or three; the limit stops text made to need
// thousands.
constexpr int max_passes = 8;

std::u32string repair_line(std::u32string_view line, bool decode_html) {
  std::u32string text(line);
  for (int pass = 0; pass < max_passes; ++pass) {
    std::u32string next = decode_html ? unescape_html_strictly(text) : text;
    next = to_nfc(repair_characters(repair_mojibake(next)));
    if (next == text) break;
    text = std::move(next);
  }
  return text;
}

}  // namespace

std::u32string repair_text(std::u32string_view text) {
  std::u32string out;
  bool decode_html = true;
  while (!text.empty()) {
    const size_t end = std::min(text.find(U'\n'), text.size() - 1) + 1;
    const std::u32string_view line = text.substr(0, end);
    decode_html = decode_html && line.find(U'<') == line.npos;
    out += repair_line(line, decode_html);
    text.remove_prefix(end);
  }
  return out;
}

}  // namespace dalle1::text
