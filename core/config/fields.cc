#include "core/config/fields.h"

#include <algorithm>

#include "core/text/suggest.h"

namespace dalle1::config {

Place Place::inside(std::string_view name) const {
  return {kind, path.empty() ? std::string(name) : fmt::format("{}.{}", path, name)};
}

namespace detail {

void check_members(const nlohmann::json& json, const Place& place, Names fields, const Names& others) {
  check(json.is_object() || !place.path.empty(), place.kind, "not a JSON object");
  check(json.is_object(), place.kind, "'{}' must be an object, not {}", place.path, text_of_value(json));
  fields.insert(fields.end(), others.begin(), others.end());
  for (const auto& [name, value] : json.items())
    check(std::find(fields.begin(), fields.end(), name) != fields.end(), place.kind, "unknown field '{}'{}",
          place.inside(name).path, text::did_you_mean(name, fields));
}

size_t index_of_choice(std::string_view text, const std::vector<std::string_view>& choices,
                       const Place& place) {
  const auto found = std::find(choices.begin(), choices.end(), text);
  if (found != choices.end()) return static_cast<size_t>(found - choices.begin());
  std::string list;
  for (size_t i = 0; i < choices.size(); ++i)
    list += fmt::format("{}{}", i == 0 ? "" : i + 1 == choices.size() ? " or " : ", ", choices[i]);
  fail(place.kind, "'{}' is '{}'; it must be {}", place.path, text, list);
}

}  // namespace detail
}  // namespace dalle1::config
