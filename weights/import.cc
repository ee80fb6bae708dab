#include "weights/import.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <unordered_set>

#include "weights/small_json.h"

namespace dalle1::weights {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// What '#' and '*' of `pattern` stand for in `name`, in order; nullopt when it does not match.
std::optional<std::vector<std::string_view>> match(std::string_view name, std::string_view pattern) {
  std::vector<std::string_view> parts;
  size_t at = 0;
  for (char c : pattern) {
    if (c == '*') {
      parts.push_back(name.substr(at));
      return parts;
    }
    size_t begin = at;
    if (c == '#') {
      while (at < name.size() && is_digit(name[at])) ++at;
      if (at == begin) return {};
      parts.push_back(name.substr(begin, at - begin));
    } else if (at >= name.size() || name[at++] != c) {
      return {};
    }
  }
  if (at != name.size()) return {};
  return parts;
}

std::string fill(std::string_view pattern, const std::vector<std::string_view>& parts) {
  std::string out;
  auto next = parts.begin();
  for (char c : pattern)
    if (c == '#' || c == '*')
      out += *next++;
    else
      out += c;
  return out;
}

}  // namespace

std::optional<std::string> renamed(std::string_view name, std::span<const NameRule> rules) {
  for (const NameRule& rule : rules)
    if (auto parts = match(name, rule.from)) return fill(rule.to, *parts);
  return {};
}

std::vector<RawTensor> rename_tensors(const std::vector<StateFile>& files, std::span<const NameRule> rules) {
  std::vector<RawTensor> tensors;
  std::unordered_set<std::string> names;
  std::string unknown;
  size_t unknown_count = 0;
  for (const StateFile& file : files) {
    for (const RawTensor& tensor : file.tensors) {
      auto name = renamed(tensor.name, rules);
      if (!name && ++unknown_count <= 10) unknown += (unknown.empty() ? "" : ", ") + printable(tensor.name);
      if (!name || name->empty()) continue;
      check(names.insert(*name).second, ErrorKind::model, "{}: '{}' is there twice", file.name,
            printable(*name));
      tensors.push_back(tensor);
      tensors.back().name = *name;
    }
  }
  check(unknown_count == 0, ErrorKind::model, "{}: {} tensors that this format does not have: {}{}",
        source_of(files), unknown_count, unknown, unknown_count > 10 ? ", ..." : "");
  return tensors;
}

int64_t extent_of(const TensorIndex& tensors, const std::string& source, std::string_view name, size_t axis) {
  const RawTensor* tensor = tensors.find(name);
  check(tensor, ErrorKind::model, "{}: tensor '{}' is missing", source, name);
  check(axis < tensor->shape.size(), ErrorKind::model, "{}: tensor '{}' has the shape {}", source, name,
        shape_text(tensor->shape));
  return tensor->shape[axis];
}

int64_t count_numbered(const std::vector<RawTensor>& tensors, std::string_view pattern) {
  int64_t count = 0;
  for (const RawTensor& tensor : tensors) {
    auto parts = match(tensor.name, pattern);
    if (!parts) continue;
    int64_t number = 0;
    auto digits = parts->front();
    auto result = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (result.ec == std::errc() && number < 1'000'000) count = std::max(count, number + 1);
  }
  return count;
}

void add_given(Checkpoint& checkpoint, const nlohmann::json& given) {
  if (given.is_null()) return;
  check(given.is_object(), ErrorKind::model, "{}: the configuration is no JSON object", checkpoint.source);
  for (const auto& [field, value] : given.items()) {
    const auto [own, fresh] = checkpoint.config.emplace(field, value);
    check(fresh || *own == value, ErrorKind::model,
          "{}: the configuration that was given says {} {}, but the file has {}", checkpoint.source,
          printable(field), printable(value.dump()), printable(own->dump()));
  }
}

Checkpoint part_from(const std::vector<StateFile>& files, std::string_view part, std::string_view format) {
  Checkpoint result;
  result.part = part;
  result.format = format;
  result.source = source_of(files);
  return result;
}

std::string source_of(const std::vector<StateFile>& files) {
  std::string names;
  for (const StateFile& file : files) names += (names.empty() ? "" : ", ") + file.name;
  return names;
}

}  // namespace dalle1::weights
