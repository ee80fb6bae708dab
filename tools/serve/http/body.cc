#include "tools/serve/http/body.h"

#include "core/json.h"
#include "core/text/suggest.h"
#include "core/text/utf8.h"
#include "tools/serve/http/api_error.h"
#include "tools/serve/http/form.h"

namespace dalle1::serve {
namespace {

using Document = nlohmann::json;

// A form's text as the JSON that it stands for.
Document json_of(const std::string& name, std::string_view content, const BodyFields& fields) {
  if (fields.texts.count(name) > 0 || fields.all.count(name) == 0) return std::string(content);
  const bool list = fields.lists.count(name) > 0 && !content.starts_with('[');
  auto value = Document::parse(list ? fmt::format("[{}]", content) : std::string(content), nullptr, false);
  if (value.is_discarded()) return std::string(content);  // refused as what it is not
  return value;
}

// Leaves null out and refuses what is no field.
Document checked(Document document, const BodyFields& fields) {
  const std::vector<std::string> names(fields.all.begin(), fields.all.end());
  Document known = Document::object();
  for (auto& [name, value] : document.items()) {
    if (fields.all.count(name) == 0)
      throw ApiError(400, fmt::format("unknown field '{}'{}", name, text::did_you_mean(name, names)), name,
                     "unknown_parameter");
    if (!value.is_null()) known[name] = std::move(value);
  }
  return known;
}

}  // namespace

Body read_json_body(std::string_view body, std::string_view content_type, const BodyFields& fields,
                    const Limits& limits) {
  if (!content_type.starts_with("application/json"))
    throw ApiError(415, "send JSON: the content type must be application/json");
  if (body.size() > limits.json_bytes)
    throw ApiError(413, fmt::format("the JSON has {} bytes; {} are allowed", body.size(), limits.json_bytes));
  Document document;
  about("", [&] {
    document = parse_json(body, "the body");
    check(document.is_object(), ErrorKind::input, "the body must be a JSON object, not {}",
          text_of_value(document));
  });
  return {checked(std::move(document), fields), {}};
}

Body read_form_body(std::string_view body, std::string_view content_type, const BodyFields& fields,
                    const Limits& limits) {
  if (!is_form(content_type))
    throw ApiError(415, "send a form: the content type must be multipart/form-data");
  Body read;
  Document document = Document::object();
  for (auto& part : parse_form(body, content_type, limits.form_parts)) {
    if (part.name.ends_with("[]")) part.name.resize(part.name.size() - 2);  // as clients name lists
    if (fields.files.count(part.name) > 0) {
      read.files.emplace_back(part.name, part.content);
    } else if (document.contains(part.name)) {
      throw ApiError(400, fmt::format("the form has '{}' twice", part.name), part.name);
    } else {
      document[part.name] = json_of(part.name, part.content, fields);
    }
  }
  read.document = checked(std::move(document), fields);
  return read;
}

void check_text(const std::string& name, const std::string& value, const Limits& limits) {
  about(name, [&] {
    text::check_utf8(value, fmt::format("'{}'", name));
    check(value.size() <= limits.prompt_bytes, ErrorKind::input, "'{}' has {} bytes; {} are allowed", name,
          value.size(), limits.prompt_bytes);
  });
}

}  // namespace dalle1::serve
