#include "core/json.h"

#include <algorithm>

namespace dalle1 {
namespace {

// "[json.exception.parse_error.101] parse error at line 1, column 5: syntax error ...; last read: '...'"
// without what is said better here, and without the bytes last read, which may be anything.
std::string reason_of(const nlohmann::json::exception& error) {
  std::string_view text = error.what();
  text.remove_prefix(std::min(text.size(), text.find("] ") + 2));
  const size_t column = text.find("column "), colon = text.find(": ", column == text.npos ? 0 : column);
  if (column != text.npos && colon != text.npos) text.remove_prefix(colon + 2);
  return std::string(text.substr(0, text.find("; last read")));
}

}  // namespace

nlohmann::json parse_json(std::string_view text, const std::string& name, ErrorKind kind, int64_t line) {
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    const auto before = text.substr(0, error.byte > 0 ? error.byte - 1 : 0);
    const auto start = before.rfind('\n') + 1;  // npos + 1 is 0
    fail(kind, "{} line {}, column {}: not JSON: {}", name,
         line + std::count(before.begin(), before.end(), '\n'), before.size() - start + 1, reason_of(error));
  } catch (const nlohmann::json::exception& error) {  // a number beyond all doubles
    fail(kind, "{} line {}: not JSON: {}", name, line, reason_of(error));
  }
}

std::string Range::text() const {
  const auto from = std::isfinite(low) ? fmt::format(" {} {}", above ? "above" : "of at least", low) : "";
  if (!std::isfinite(high)) return from;
  return fmt::format("{}{} {} {}", from, from.empty() ? "" : " and", below ? "below" : "at most", high);
}

std::string text_of_value(const nlohmann::ordered_json& json) {
  constexpr size_t most = 200;
  const auto text = json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  return text.size() <= most ? text : text.substr(0, most) + "...";
}

}  // namespace dalle1
