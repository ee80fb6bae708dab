#include "core/config/fields.h"

#include <algorithm>

#include "core/text/suggest.h"

namespace dalle1::config {

Place Place::inside(std::string_view name) const {
  return {kind, path.empty() ? std::string(name) : fmt::format("{}.{}", path, name)};
}

void check_object(const nlohmann::json& json, const Place& place) {
  if (json.is_object()) return;
  check(!place.path.empty(), place.kind, "not a JSON object");
  fail(place.kind, "'{}' must be an object, not {}", place.path, text_of_value(json));
}

void check_names(const nlohmann::json& object, const Place& place, const Names& names, const Names& others) {
  for (const auto& [name, value] : object.items()) {
    Names known = names;
    known.insert(known.end(), others.begin(), others.end());
    check(std::find(known.begin(), known.end(), name) != known.end(), place.kind, "unknown field '{}'{}",
          place.inside(name).path, text::did_you_mean(name, known));
  }
}

size_t check_choice(std::string_view text, const std::vector<std::string_view>& choices, const Place& place) {
  const auto found = std::find(choices.begin(), choices.end(), text);
  if (found != choices.end()) return static_cast<size_t>(found - choices.begin());
  std::string list;
  for (size_t i = 0; i < choices.size(); ++i)
    list += fmt::format("{}{}", i == 0 ? "" : i + 1 == choices.size() ? " or " : ", ", choices[i]);
  fail(place.kind, "'{}' is '{}'; it must be {}", place.path, text, list);
}

}  // namespace dalle1::config
