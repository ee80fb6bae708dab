#include "core/data/caption_text.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/text/unicode.h"
#include "core/text/utf8.h"

namespace dalle1 {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

/// UTF-8 without its byte order mark.
std::string_view check_text(std::string_view bytes, std::string_view name) {
  check(!bytes.starts_with("\xff\xfe") && !bytes.starts_with("\xfe\xff"), ErrorKind::input,
        "{}: UTF-16; save it as UTF-8", name);
  text::check_utf8(bytes, name);
  const size_t zero = bytes.find('\0');
  check(zero == std::string_view::npos, ErrorKind::input,
        "{}: no text: byte {} is zero, as in UTF-16; save it as UTF-8", name, zero);
  if (bytes.starts_with(kByteOrderMark)) bytes.remove_prefix(kByteOrderMark.size());
  return bytes;
}

std::string trimmed(std::string_view utf8) {
  return text::to_utf8(text::strip(text::to_code_points_lossy(utf8)));
}

/// Walks over JSON text, strings apart from the rest.
class JsonText {
 public:
  JsonText(std::string_view bytes, std::string_view name) : text_(bytes), name_(name) {}

  /// The text with what Python writes and JSON does not have replaced by something as long, so that columns
  /// stay right.
  std::string repaired() {
    for (size_t i = 0; i < text_.size(); ++i) {
      if (text_[i] == '"') {
        i = end_of_string(i);
      } else if (const size_t length = python_number(i); length > 0) {
        text_.replace(i, length, "[" + std::string(length - 2, ' ') + "]");
        i += length - 1;
      }
    }
    return std::move(text_);
  }

 private:
  size_t python_number(size_t at) const {
    for (const std::string_view word : {"NaN", "Infinity", "-Infinity"})
      if (text_.compare(at, word.size(), word) == 0) return word.size();
    return 0;
  }

  /// The place of the closing quote, or the end when there is none.
  size_t end_of_string(size_t at) const {
    for (++at; at < text_.size() && text_[at] != '"'; ++at) {
      if (text_[at] != '\\') continue;
      const unsigned unit = escaped_unit(at);
      if (is_low_surrogate(unit)) fail_at(at);
      if (unit >= 0xD800 && unit < 0xDC00) {
        if (!is_low_surrogate(escaped_unit(at + 6))) fail_at(at);
        at += 6;
      }
      ++at;
    }
    return at;
  }

  static bool is_low_surrogate(unsigned unit) { return unit >= 0xDC00 && unit < 0xE000; }

  /// What \uXXXX stands for; 0 for anything else.
  unsigned escaped_unit(size_t at) const {
    if (at + 6 > text_.size() || text_[at] != '\\' || text_[at + 1] != 'u') return 0;
    unsigned unit = 0;
    const char* end = &text_[at] + 6;
    return std::from_chars(&text_[at] + 2, end, unit, 16).ptr == end ? unit : 0;
  }

  [[noreturn]] void fail_at(size_t at) const {
    fail(ErrorKind::input, "{}, column {}: the escape {} is half of a pair, and no character", name_, at + 1,
         text_.substr(at, 6));
  }

  std::string text_;
  std::string_view name_;
};

}  // namespace

std::string caption_of_text(std::string_view bytes, std::string_view name) {
  return trimmed(check_text(bytes, name));
}

Json parse_json_object(std::string_view bytes, std::string_view name) {
  const std::string text = JsonText(check_text(bytes, name), name).repaired();
  Json row;
  try {
    row = Json::parse(text);
  } catch (const Json::parse_error& error) {
    fail(ErrorKind::input, "{}, column {}: not a JSON object", name, error.byte);
  }
  check(!row.is_array(), ErrorKind::input, "{}: a JSON array; an object is read", name);
  check(row.is_object(), ErrorKind::input, "{}: not a JSON object", name);
  return row;
}

std::optional<std::vector<std::string>> captions_of(const Json& row, std::string_view name) {
  for (const char* key : {"caption", "text"}) {
    const auto found = row.find(key);
    if (found == row.end()) continue;
    std::vector<std::string> captions;
    const auto add = [&](const Json& value) {
      check(value.is_string(), ErrorKind::input, "{}: \"{}\" holds a {}, not a text", name, key,
            value.type_name());
      if (std::string caption = trimmed(value.get_ref<const std::string&>()); !caption.empty())
        captions.push_back(std::move(caption));
    };
    if (found->is_array()) {
      for (const Json& value : *found) add(value);
    } else if (!found->is_null()) {
      add(*found);
    }
    return captions;
  }
  return std::nullopt;
}

std::string picture_path_of(const Json& row) {
  for (const char* key : {"image", "file_name"})
    if (const auto found = row.find(key); found != row.end() && found->is_string()) return *found;
  return "";
}

}  // namespace dalle1
