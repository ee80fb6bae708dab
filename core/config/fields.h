// Configurations as structs that list their fields once. A struct has
//
//   static void visit(auto& self, auto& field) {
//     field("layers", self.layers, config::within(1, 4096));  // name, value, rule
//     field("last", self.last, {}, self.first);               // ... and what it is where it is absent
//   }
//
// and with it is read from JSON, checked and written. An absent field keeps the value that the struct has. A
// field may be a number, bool, text, enumeration, list or array of these, raw JSON, another such struct, or a
// type with `void read_field(const nlohmann::json&, T&, const config::Place&)` beside it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "core/json.h"

namespace dalle1::config {

/// What the value of a field may be.
struct Rule {
  Range range = {};                            ///< Of a number, or of each number of a list.
  std::vector<std::string_view> choices = {};  ///< Of a text; of an enumeration its names, in their order.
  bool required = false;
  bool one_or_list = false;            ///< A list of one is written as its element.
  bool omit_empty = false;             ///< An empty list is not written.
  bool omit = false;                   ///< Not written: files without it mean the value that it has.
  std::optional<bool> null_when = {};  ///< null may be given, for 0 or the default; written where true.
  std::string_view help = {};          ///< What people read about it.

  Rule with(std::string_view text) const {
    Rule rule = *this;
    rule.help = text;
    return rule;
  }
};
inline Rule help(std::string_view text) { return {.help = text}; }
inline Rule within(double least, double most) { return {.range = {least, most}}; }
inline Rule at_least(double least) { return {.range = {.low = least}}; }
inline Rule above(double low, double most) { return {.range = {low, most, true, false}}; }
inline Rule between(double low, double high) { return {.range = {low, high, true, true}}; }  // not the ends
inline Rule below_one() { return {.range = {0, 1, false, true}}; }                           // from 0
inline Rule one_of(std::vector<std::string_view> choices) { return {.choices = std::move(choices)}; }
inline Rule required() { return {.required = true}; }

/// A field of no meaning here: its text is written, whatever is read is passed over. Without text it is not
/// written.
struct Constant {
  std::string_view text = {};
};

/// Where a value stands and of which kind the errors about it are.
struct Place {
  ErrorKind kind = ErrorKind::input;
  std::string path = {};  ///< "train.learning_rate"; empty: the whole document.

  Place inside(std::string_view name) const;
};

/// How numbers of type float are written: as the doubles that they are, or with the fewest digits that give
/// the float again.
enum class Floats : uint8_t { exact, shortest };

using Names = std::vector<std::string>;

/// Reads an object. Error(place.kind) names a member that is neither a field nor one of `others`, and a field
/// that is mistyped or breaks its rule: "unknown field 'train.bacth'; did you mean 'batch'?".
template <typename T>
void read(const nlohmann::json& object, T& config, const Place& place = {}, const Names& others = {});

template <typename Json, typename T>
Json write(const T& config, Floats floats = Floats::exact);

/// What `action` returns; its errors begin with `document`: "CLIP configuration: ...".
auto named(std::string_view document, const auto& action) {
  try {
    return action();
  } catch (const Error& error) {
    fail(error.kind(), "{}: {}", document, error);
  }
}

namespace detail {

void check_members(const nlohmann::json& json, const Place& place, Names fields, const Names& others);
size_t index_of_choice(std::string_view text, const std::vector<std::string_view>& choices,
                       const Place& place);

struct NameVisitor {
  Names names;
  void operator()(std::string_view name, const auto&, const Rule& = {}, const auto&...) {
    names.emplace_back(name);
  }
};

template <typename T>
concept Visited = requires(T& value, NameVisitor& names) {
  T::visit(value, names);
};
template <typename T>
concept ReadsItself = requires(const nlohmann::json& json, T& value, const Place& place) {
  read_field(json, value, place);
};
template <typename T>
concept Vector = requires(T value) {
  value.push_back(value.front());
};

template <typename T>
void read_value(const nlohmann::json& json, T& value, const Rule& rule, const Place& place) {
  if constexpr (ReadsItself<T>) {
    read_field(json, value, place);
  } else if constexpr (Visited<T>) {
    read(json, value, place);
  } else if constexpr (std::is_enum_v<T>) {
    const auto name = value_of<std::string>(json, place.path, place.kind);
    value = static_cast<T>(index_of_choice(name, rule.choices, place));
  } else if constexpr (std::same_as<T, nlohmann::json>) {
    value = json;
  } else {
    const bool single = rule.one_or_list && !json.is_array();
    value = value_of<T>(single ? nlohmann::json::array({json}) : json, place.path, place.kind, rule.range);
    if constexpr (std::same_as<T, std::string>)
      if (!rule.choices.empty()) index_of_choice(value, rule.choices, place);
  }
}

struct Reader {
  const nlohmann::json& object;
  const Place& place;

  template <typename T>
  void operator()(std::string_view name, T& value, const Rule& rule = {}) {
    read_or(name, value, rule, value, T{});
  }
  template <typename T>
  void operator()(std::string_view name, T& value, const Rule& rule, const std::type_identity_t<T>& absent) {
    read_or(name, value, rule, absent, absent);
  }
  void operator()(std::string_view, const Constant&) {}

  template <typename T>
  void read_or(std::string_view name, T& value, const Rule& rule, const T& absent, const T& null) {
    const auto found = object.find(name);
    check(found != object.end() || !rule.required, place.kind, "{} has no '{}'",
          place.path.empty() ? "it" : fmt::format("'{}'", place.path), name);
    if (found == object.end())
      value = absent;
    else if (found->is_null() && rule.null_when)
      value = null;
    else
      read_value(*found, value, rule, place.inside(name));
  }
};

template <typename Json>
struct Writer {
  Json& object;
  Floats floats;

  void operator()(std::string_view name, const Constant& constant) {
    if (!constant.text.empty()) object[std::string(name)] = constant.text;
  }
  template <typename T>
  void operator()(std::string_view name, const T& value, const Rule& rule = {}, const auto&...) {
    if constexpr (Vector<T>)
      if (rule.omit_empty && value.empty()) return;
    if (rule.omit) return;
    object[std::string(name)] = rule.null_when.value_or(false) ? Json() : json_of(value, rule);
  }

  template <typename T>
  Json json_of(const T& value, const Rule& rule) const {
    if constexpr (Visited<T>)
      return write<Json>(value, floats);
    else if constexpr (std::is_enum_v<T>)
      return rule.choices[static_cast<size_t>(value)];
    else if constexpr (std::same_as<T, float>)
      return floats == Floats::exact ? Json(value) : Json::parse(fmt::format("{}", value));
    else if constexpr (Vector<T>)
      return rule.one_or_list && value.size() == 1 ? Json(value.front()) : Json(value);
    else
      return value;
  }
};

}  // namespace detail

template <typename T>
Names field_names() {
  detail::NameVisitor visitor;
  T value;
  T::visit(value, visitor);
  return visitor.names;
}

/// As read(), but leaves members that are no fields alone.
template <typename T>
void read_known(const nlohmann::json& object, T& config, const Place& place = {}) {
  detail::Reader reader{object, place};
  T::visit(config, reader);
}

template <typename T>
void read(const nlohmann::json& object, T& config, const Place& place, const Names& others) {
  detail::check_members(object, place, field_names<T>(), others);
  read_known(object, config, place);
}

template <typename Json, typename T>
Json write(const T& config, Floats floats) {
  Json object = Json::object();
  detail::Writer<Json> writer{object, floats};
  T::visit(config, writer);
  return object;
}

/// Error(place.kind) names a field whose value breaks its rule.
template <typename T>
void check_values(const T& config, const Place& place) {
  T copy;
  read_known(write<nlohmann::json>(config), copy, place);
}

}  // namespace dalle1::config
