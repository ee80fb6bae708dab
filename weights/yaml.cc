#include "weights/yaml.h"

#include <charconv>
#include <vector>

#include "core/error.h"
#include "weights/small_json.h"

namespace dalle1::weights {
namespace {

struct Line {
  size_t number = 0;  // from 1
  size_t indent = 0;
  std::string_view text;  // without indentation and comment
};

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == ' ' || text.back() == '\r')) text.remove_suffix(1);
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  return text;
}

// Where a comment begins: at a # in front or after a space, outside of a quoted value.
size_t comment_of(std::string_view text) {
  char quote = 0, before = ' ';  // the quote that is open; the last character that is no space
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote) {
      if (c == quote) quote = 0;
    } else if (c == '#' && (i == 0 || text[i - 1] == ' ')) {
      return i;
    } else if ((c == '"' || c == '\'') && std::string_view(" :,[-").find(before) != std::string_view::npos) {
      quote = c;
    }
    if (c != ' ') before = c;
  }
  return text.size();
}

class Reader {
 public:
  Reader(const std::string& name, std::string_view text) : name_(name) {
    check(text.size() <= largest_small_json, ErrorKind::model, "{}: {} bytes of YAML; the limit is {}", name,
          text.size(), largest_small_json);
    check(is_utf8(text), ErrorKind::model, "{}: not UTF-8", name);
    for (size_t number = 1; !text.empty(); ++number) {
      size_t end = std::min(text.find('\n'), text.size());
      add_line(number, text.substr(0, end));
      text.remove_prefix(std::min(end + 1, text.size()));
    }
  }

  nlohmann::json read() {
    check(!lines_.empty(), ErrorKind::model, "{}: empty", name_);
    nlohmann::json value = block(lines_[0].indent, 0);
    require(next_ == lines_.size(), "is indented otherwise than what it belongs to");
    return value;
  }

 private:
  void require(bool condition, std::string_view complaint) const {
    const size_t line = next_ < lines_.size() ? lines_[next_].number : lines_.back().number;
    check(condition, ErrorKind::model, "{}: line {} {}", name_, line, complaint);
  }

  void add_line(size_t number, std::string_view text) {
    text = text.substr(0, comment_of(text));
    size_t indent = text.find_first_not_of(' ');
    std::string_view content = trimmed(text);
    if (content.empty() || content == "---") return;
    lines_.push_back({number, indent, content});
    next_ = lines_.size() - 1;
    require(content.find('\t') == content.npos, "has a tab");
    next_ = 0;
  }

  bool here(size_t indent) const { return next_ < lines_.size() && lines_[next_].indent == indent; }
  static bool is_item(std::string_view text) { return text == "-" || text.starts_with("- "); }

  nlohmann::json block(size_t indent, int depth) {
    require(depth <= deepest_json, "is nested too deep");
    return is_item(lines_[next_].text) ? list(indent) : map(indent, depth);
  }

  nlohmann::json list(size_t indent) {
    nlohmann::json values = nlohmann::json::array();
    for (; here(indent) && is_item(lines_[next_].text); ++next_)
      values.push_back(scalar(trimmed(lines_[next_].text.substr(1))));
    return values;
  }

  nlohmann::json map(size_t indent, int depth) {
    nlohmann::json values = nlohmann::json::object();
    while (here(indent) && !is_item(lines_[next_].text)) {
      std::string_view text = lines_[next_].text;
      size_t colon = text.find(": ");
      if (colon == text.npos && text.ends_with(':')) colon = text.size() - 1;
      require(colon != text.npos && colon > 0, "has no 'key: value'");
      std::string key(trimmed(text.substr(0, colon)));
      std::string_view rest = trimmed(text.substr(colon + 1));
      require(!values.contains(key), "repeats a key");
      if (!rest.empty()) {
        values[key] = rest.front() == '[' ? flow_list(rest) : scalar(rest);
        ++next_;
        continue;
      }
      ++next_;
      // A list may stand at the indentation of its key.
      const bool deeper = next_ < lines_.size() && lines_[next_].indent > indent;
      const bool list_here = here(indent) && is_item(lines_[next_].text);
      values[key] = deeper ? block(lines_[next_].indent, depth + 1) : list_here ? list(indent) : nullptr;
    }
    return values;
  }

  nlohmann::json flow_list(std::string_view text) const {
    require(text.ends_with(']'), "has a list that does not end");
    text = trimmed(text.substr(1, text.size() - 2));
    nlohmann::json values = nlohmann::json::array();
    while (!text.empty()) {
      size_t comma = std::min(text.find(','), text.size());
      values.push_back(scalar(trimmed(text.substr(0, comma))));
      text = trimmed(text.substr(std::min(comma + 1, text.size())));
    }
    return values;
  }

  nlohmann::json scalar(std::string_view text) const {
    require(!text.empty(), "has an empty value");
    require(std::string_view("[]{}&*!|>%@`").find(text.front()) == std::string_view::npos,
            "uses YAML beyond maps, lists and plain values");
    const bool quoted =
        text.size() >= 2 && (text.front() == '"' || text.front() == '\'') && text.back() == text.front();
    if (quoted) return std::string(text.substr(1, text.size() - 2));
    require(text.find(": ") == text.npos && !text.ends_with(':'), "has a map inside a list item");
    if (text == "true" || text == "True") return true;
    if (text == "false" || text == "False") return false;
    if (text == "null" || text == "~") return nullptr;
    int64_t whole;
    const char* end = text.data() + text.size();
    if (auto result = std::from_chars(text.data(), end, whole); result.ec == std::errc() && result.ptr == end)
      return whole;
    double real;
    if (auto result = std::from_chars(text.data(), end, real); result.ec == std::errc() && result.ptr == end)
      return real;
    return std::string(text);
  }

  const std::string& name_;
  std::vector<Line> lines_;
  size_t next_ = 0;
};

}  // namespace

nlohmann::json parse_simple_yaml(const std::string& name, std::string_view text) {
  return Reader(name, text).read();
}

}  // namespace dalle1::weights
