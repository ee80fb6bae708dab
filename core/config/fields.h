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

#include <string>
#include <type_traits>
#include <vector>

#include "core/config/rule.h"

namespace dalle1::config {

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

/// Error(place.kind) unless `json` is an object: "'train' must be an object, not 3".
void check_object(const nlohmann::json& json, const Place& place);
/// Error(place.kind) "unknown field 'train.bacth'; did you mean 'batch'?" for a member that is in neither
/// list.
void check_names(const nlohmann::json& object, const Place& place, const Names& names,
                 const Names& others = {});
/// The index of `text`. Error(place.kind) "'train.compute' is 'f16'; it must be f32 or bf16".
size_t check_choice(std::string_view text, const std::vector<std::string_view>& choices, const Place& place);

namespace detail {

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
concept Vector = requires(T value) {
  value.push_back(value.front());
};
template <typename T>
concept NumberList = std::is_arithmetic_v<typename T::value_type>;
template <typename T>
concept ReadsItself = requires(const nlohmann::json& json, T& value, const Place& place) {
  read_field(json, value, place);
};

}  // namespace detail

template <typename T>
Names field_names() {
  detail::NameVisitor visitor;
  T value;
  T::visit(value, visitor);
  return visitor.names;
}

/// Reads the fields that are there and leaves other members of the object alone. Error(place.kind) names a
/// field that is mistyped or breaks its rule.
template <typename T>
void read_known(const nlohmann::json& object, T& config, const Place& place = {});

/// The same, and Error(place.kind) names a member that is neither a field nor one of `others`.
template <typename T>
void read(const nlohmann::json& object, T& config, const Place& place = {}, const Names& others = {}) {
  check_object(object, place);
  check_names(object, place, field_names<T>(), others);
  read_known(object, config, place);
}

/// Error(place.kind) names a field whose value breaks its rule.
template <typename T>
void check_values(const T& config, const Place& place);

template <typename Json, typename T>
Json write(const T& config, Floats floats = Floats::exact);

/// What `action` returns; its errors begin with `document`: "CLIP configuration: ...".
template <typename Action>
auto named(std::string_view document, const Action& action) {
  try {
    return action();
  } catch (const Error& error) {
    fail(error.kind(), "{}: {}", document, error);
  }
}

namespace detail {

template <typename T>
void read_value(const nlohmann::json& json, T& value, const Rule& rule, const Place& place) {
  if constexpr (ReadsItself<T>) {
    read_field(json, value, place);
  } else if constexpr (Visited<T>) {
    read(json, value, place);
  } else if constexpr (std::is_enum_v<T>) {
    value = static_cast<T>(
        check_choice(value_of<std::string>(json, place.path, place.kind), rule.choices, place));
  } else if constexpr (std::same_as<T, nlohmann::json>) {
    value = json;
  } else {
    const bool single = rule.one_or_list && !json.is_array();
    value = value_of<T>(single ? nlohmann::json::array({json}) : json, place.path, place.kind, rule.range);
    if constexpr (std::same_as<T, std::string>)
      if (!rule.choices.empty()) check_choice(value, rule.choices, place);
  }
}

class Reader {
 public:
  Reader(const nlohmann::json& object, const Place& place) : object_(object), place_(place) {}

  template <typename T>
  void operator()(std::string_view name, T& value, const Rule& rule = {}) {
    read_or(name, value, rule, value, T{});
  }
  template <typename T>
  void operator()(std::string_view name, T& value, const Rule& rule,
                  const std::type_identity_t<T>& otherwise) {
    read_or(name, value, rule, otherwise, otherwise);
  }
  void operator()(std::string_view, const Constant&) {}

 private:
  template <typename T>
  void read_or(std::string_view name, T& value, const Rule& rule, const T& absent, const T& null) {
    const auto found = object_.find(name);
    check(found != object_.end() || !rule.required, place_.kind, "{} has no '{}'",
          place_.path.empty() ? "it" : fmt::format("'{}'", place_.path), name);
    if (found == object_.end())
      value = absent;
    else if (found->is_null() && rule.null_when)
      value = null;
    else
      read_value(*found, value, rule, place_.inside(name));
  }

  const nlohmann::json& object_;
  const Place& place_;
};

class Checker {
 public:
  explicit Checker(const Place& place) : place_(place) {}

  template <typename T>
  void operator()(std::string_view name, const T& value, const Rule& rule = {}, const auto&...) {
    const Place place = place_.inside(name);
    if constexpr (Visited<T>) {
      check_values(value, place);
    } else if constexpr (std::same_as<T, std::string>) {
      if (!rule.choices.empty()) check_choice(value, rule.choices, place);
    } else if constexpr (std::is_arithmetic_v<T> || NumberList<T>) {
      value_of<T>(nlohmann::json(value), place.path, place.kind, rule.range);
    }
  }

 private:
  const Place& place_;
};

template <typename Json>
class Writer {
 public:
  Writer(Json& object, Floats floats) : object_(object), floats_(floats) {}

  template <typename T>
  void operator()(std::string_view name, const T& value, const Rule& rule = {}, const auto&...) {
    if constexpr (std::same_as<T, Constant>) {
      if (!value.text.empty()) object_[std::string(name)] = value.text;
    } else if (!is_omitted(value, rule)) {
      object_[std::string(name)] = rule.null_when.value_or(false) ? Json() : json_of(value, rule);
    }
  }

 private:
  static bool is_omitted(const auto& value, const Rule& rule) {
    if constexpr (requires { value.empty(); }) return rule.omit_empty && value.empty();
    return false;
  }

  template <typename T>
  Json json_of(const T& value, const Rule& rule) const {
    if constexpr (Visited<T>)
      return write<Json>(value, floats_);
    else if constexpr (std::is_enum_v<T>)
      return rule.choices[static_cast<size_t>(value)];
    else if constexpr (std::same_as<T, float>)
      return floats_ == Floats::exact ? Json(value) : Json::parse(fmt::format("{}", value));
    else if constexpr (Vector<T>)
      return rule.one_or_list && value.size() == 1 ? Json(value.front()) : Json(value);
    else
      return value;
  }

  Json& object_;
  Floats floats_;
};

}  // namespace detail

template <typename T>
void read_known(const nlohmann::json& object, T& config, const Place& place) {
  detail::Reader reader(object, place);
  T::visit(config, reader);
}

template <typename T>
void check_values(const T& config, const Place& place) {
  detail::Checker checker(place);
  T::visit(config, checker);
}

template <typename Json, typename T>
Json write(const T& config, Floats floats) {
  Json object = Json::object();
  detail::Writer<Json> writer(object, floats);
  T::visit(config, writer);
  return object;
}

}  // namespace dalle1::config
