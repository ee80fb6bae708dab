#include "core/text/html_entities.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <optional>
#include <unordered_map>

#include "core/text/unicode.h"
#include "core/text/windows1252.h"

namespace dalle1::text {
namespace {

struct Entity {
  std::string_view name;
  char32_t first, second;
  bool bare;  // also valid without a semicolon

  std::u32string text() const { return second ? std::u32string{first, second} : std::u32string{first}; }
};

constexpr Entity entities[] = {
#include "core/text/html_entity_table.inc"
};

const Entity* find_entity(std::string_view name) {
  const auto* at = std::ranges::lower_bound(entities, name, {}, &Entity::name);
  return at != std::end(entities) && at->name == name ? at : nullptr;
}

bool is_digit(char32_t c) { return c >= '0' && c <= '9'; }
bool is_hex(char32_t c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
bool is_alphanumeric(char32_t c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// The text of numeric reference `number`.
std::u32string numeric_text(uint32_t number) {
  if (number == 0) return U"\uFFFD";
  if (number == '\r') return U"\r";
  if (number >= 0x80 && number < 0xA0) return {from_windows1252(static_cast<uint8_t>(number))};
  if ((number >= 0xD800 && number <= 0xDFFF) || number > 0x10FFFF) return U"\uFFFD";
  const bool control = number < 0x20 && number != '\t' && number != '\n' && number != '\f';
  const bool not_a_character = (number >= 0xFDD0 && number <= 0xFDEF) || (number & 0xFFFE) == 0xFFFE;
  if (control || number == 0x7F || not_a_character) return {};
  return {static_cast<char32_t>(number)};
}

struct Reference {
  size_t length;  // code points after the '&' that it takes
  std::u32string text;
};

// `rest` begins after '&' and with '#'.
std::optional<Reference> numeric_reference(std::u32string_view rest) {
  const bool hex = rest.size() > 1 && (rest[1] == 'x' || rest[1] == 'X');
  const size_t begin = hex ? 2 : 1;
  size_t at = begin;
  uint32_t number = 0;
  for (; at < rest.size() && (hex ? is_hex(rest[at]) : is_digit(rest[at])); ++at) {
    const uint32_t digit = is_digit(rest[at]) ? rest[at] - '0' : (rest[at] | 0x20) - 'a' + 10;
    number = std::min<uint32_t>(number * (hex ? 16 : 10) + digit, 0x110000);  // saturates out of range
  }
  if (at == begin) return std::nullopt;
  if (at < rest.size() && rest[at] == ';') ++at;
  return Reference{at, numeric_text(number)};
}

// `rest` begins after '&'. A name is at most 32 code points, as far as none of these ends it.
std::optional<Reference> named_reference(std::u32string_view rest) {
  static constexpr std::u32string_view ends = U"\t\n\f <&#;";
  std::string name;
  while (name.size() < std::min<size_t>(rest.size(), 32) && rest[name.size()] < 0x80 &&
         ends.find(rest[name.size()]) == ends.npos)
    name += static_cast<char>(rest[name.size()]);
  if (const Entity* entity = find_entity(name)) {
    if (rest.size() > name.size() && rest[name.size()] == ';')
      return Reference{name.size() + 1, entity->text()};
  }
  for (; name.size() > 1; name.pop_back()) {
    const Entity* entity = find_entity(name);
    if (entity && entity->bare) return Reference{name.size(), entity->text()};
  }
  return std::nullopt;
}

std::optional<Reference> reference(std::u32string_view rest) {
  if (rest.empty()) return std::nullopt;
  return rest[0] == '#' ? numeric_reference(rest) : named_reference(rest);
}

// Names of lower-case letters written in capitals, where the capitals are not themselves understood.
const std::unordered_map<std::string, std::u32string>& shouted_entities() {
  static const auto table = [] {
    std::unordered_map<std::string, std::u32string> out;
    for (const Entity& entity : entities) {
      std::string capitals(entity.name);
      if (std::ranges::any_of(capitals, [](char c) { return c >= 'A' && c <= 'Z'; })) continue;
      for (char& c : capitals)
        if (c >= 'a' && c <= 'z') c -= 'a' - 'A';
      const std::u32string name(capitals.begin(), capitals.end());
      if (!named_reference(name + U';')) out.emplace(capitals, upper_case(entity.text()));
    }
    return out;
  }();
  return table;
}

std::optional<Reference> strict_reference(std::u32string_view rest) {
  const size_t begin = !rest.empty() && rest[0] == '#' ? 1 : 0;
  size_t end = begin;
  while (end < rest.size() && end - begin < 25 && is_alphanumeric(rest[end])) ++end;
  if (end == begin || end - begin > 24 || end == rest.size() || rest[end] != ';') return std::nullopt;
  if (begin == 0) {
    const std::string name(rest.begin(), rest.begin() + end);
    if (const Entity* entity = find_entity(name)) return Reference{end + 1, entity->text()};
    const auto shouted = shouted_entities().find(name);
    if (shouted == shouted_entities().end()) return std::nullopt;
    return Reference{end + 1, shouted->second};
  }
  auto found = numeric_reference(rest);
  if (found && found->length != end + 1) return std::nullopt;
  return found;
}

template <typename Find>
std::u32string replace_references(std::u32string_view text, Find find) {
  std::u32string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    if (text[at] == '&') {
      if (const auto found = find(text.substr(at + 1))) {
        out += found->text;
        at += 1 + found->length;
        continue;
      }
    }
    out += text[at++];
  }
  return out;
}

}  // namespace

std::u32string unescape_html(std::u32string_view text) { return replace_references(text, reference); }

std::u32string unescape_html_strictly(std::u32string_view text) {
  return replace_references(text, strict_reference);
}

}  // namespace dalle1::text
