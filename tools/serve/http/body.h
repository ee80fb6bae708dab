// Bodies of requests as one JSON document, whatever their form, read into structs that list their fields.
#pragma once

#include <concepts>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/fields.h"
#include "tools/serve/http/exchange.h"
#include "tools/serve/http/limits.h"

namespace dalle1::serve {

/// What the fields of a request are; a visitor of the structs that they are read into.
struct BodyFields {
  std::set<std::string> all, texts, lists;
  std::set<std::string> files;  ///< Of a form; not part of the document.

  template <typename T>
  void operator()(std::string_view name, const T&, const config::Rule&) {
    all.emplace(name);
    if constexpr (std::same_as<T, std::string>)
      texts.emplace(name);
    else if constexpr (requires(T list) { list.emplace_back(); })
      lists.emplace(name);
  }
};

struct Body {
  nlohmann::json document;
  /// Of a form, in their order: field and content, in the body that was read.
  std::vector<std::pair<std::string, std::string_view>> files;

  bool has(const std::string& name) const { return document.contains(name); }
};

inline bool is_form(std::string_view content_type) { return content_type.starts_with("multipart/form-data"); }

/// Fields that are null are left out, which clients mean by it. ApiError(400) for what is not such a body and
/// names a field that is unknown or, but for files, there twice; 413 for JSON over the limit; 415 for another
/// content type.
Body read_json_body(std::string_view body, std::string_view content_type, const BodyFields& fields,
                    const Limits& limits);
Body read_form_body(std::string_view body, std::string_view content_type, const BodyFields& fields,
                    const Limits& limits);

/// ApiError(400) unless it is UTF-8 within the limit.
void check_text(const std::string& name, const std::string& value, const Limits& limits);

}  // namespace dalle1::serve
