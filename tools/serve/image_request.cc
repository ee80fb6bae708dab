#include "tools/serve/image_request.h"

#include <algorithm>

#include "core/text/suggest.h"
#include "core/text/utf8.h"
#include "tools/serve/api_error.h"
#include "tools/serve/form.h"

namespace dalle1::serve {
namespace {

using Document = nlohmann::json;

// Sorts the fields of a form by what their text stands for.
struct KindsOfFields {
  std::set<std::string> all, texts, lists;

  template <typename T>
  void operator()(std::string_view name, const T&, const config::Rule&) {
    all.emplace(name);
    if constexpr (std::same_as<T, std::string>)
      texts.emplace(name);
    else if constexpr (requires(T list) { list.emplace_back(); })
      lists.emplace(name);
  }
};

KindsOfFields fields_of(ImageTask task) {
  KindsOfFields kinds;
  rerank::GenerationOptions options;
  ImageFields fields;
  rerank::GenerationOptions::visit(options, kinds);
  ImageFields::visit(fields, kinds);
  if (task == ImageTask::edit) ImageFields::visit_edit(fields, kinds);
  if (task == ImageTask::variation) ImageFields::visit_variation(fields, kinds);
  return kinds;
}

template <typename T>
void read_one(const std::string& name, const Document& value, T& into) {
  const auto names = config::field_names<T>();
  if (std::find(names.begin(), names.end(), name) == names.end()) return;
  config::read_known(Document{{name, value}}, into);
}

void read_field(const std::string& name, const Document& value, ImageRequest& request) {
  read_one(name, value, request.options);
  read_one(name, value, request.fields);
  // The two tasks' own fields, read apart since others do not have them.
  EditFields edit{request.fields};
  read_one(name, value, edit);
  VariationFields variation{edit};
  read_one(name, value, variation);
  request.fields = variation;
}

void read_fields(const Document& document, ImageRequest& request) {
  const auto kinds = fields_of(request.task);
  const std::vector<std::string> names(kinds.all.begin(), kinds.all.end());
  for (const auto& [name, value] : document.items()) {
    if (kinds.all.count(name) == 0)
      throw ApiError(400, fmt::format("unknown field '{}'{}", name, text::did_you_mean(name, names)), name,
                     "unknown_parameter");
    if (value.is_null()) continue;  // as if it were not there, which clients mean by it
    about(name, [&, &name = name, &value = value] { read_field(name, value, request); });
    request.given.insert(name);
  }
}

// A form's text as the JSON that it stands for.
Document json_of(const std::string& name, std::string_view content, const KindsOfFields& kinds) {
  if (kinds.texts.count(name) > 0 || kinds.all.count(name) == 0) return std::string(content);
  const bool list = kinds.lists.count(name) > 0 && !content.starts_with('[');
  auto value = Document::parse(list ? fmt::format("[{}]", content) : std::string(content), nullptr, false);
  if (value.is_discarded()) return std::string(content);  // refused as what it is not
  return value;
}

Document read_form(std::string_view body, std::string_view content_type, const Limits& limits,
                   ImageRequest& request) {
  const auto kinds = fields_of(request.task);
  Document document = Document::object();
  std::set<std::string> seen;
  for (auto& part : parse_form(body, content_type, limits.form_parts)) {
    if (part.name.ends_with("[]")) part.name.resize(part.name.size() - 2);  // as clients name lists
    if (!seen.insert(part.name).second)
      throw ApiError(400, fmt::format("the form has '{}' twice", part.name), part.name);
    if (part.name == "image")
      request.image = part.content;
    else if (part.name == "mask" && request.task == ImageTask::edit)
      request.mask = part.content;
    else
      document[part.name] = json_of(part.name, part.content, kinds);
  }
  return document;
}

Document read_document(std::string_view body, std::string_view content_type, const Limits& limits,
                       ImageRequest& request) {
  if (request.task != ImageTask::generation) {
    if (!content_type.starts_with("multipart/form-data"))
      throw ApiError(415, "send a form: the content type must be multipart/form-data");
    return read_form(body, content_type, limits, request);
  }
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
  return document;
}

void check_text(const std::string& name, const std::string& value, const Limits& limits) {
  about(name, [&] {
    text::check_utf8(value, fmt::format("'{}'", name));
    check(value.size() <= limits.prompt_bytes, ErrorKind::input, "'{}' has {} bytes; {} are allowed", name,
          value.size(), limits.prompt_bytes);
  });
}

void check_at_most(const char* name, size_t value, int most) {
  if (value > static_cast<size_t>(most))
    throw ApiError(400, fmt::format("'{}' is {}; this server allows {}", name, value, most), name);
}

// How many pictures are drawn, and how many of them come back.
void settle_counts(ImageRequest& request, const Limits& limits, int candidates) {
  auto& options = request.options;
  if (!request.has("keep")) options.keep = std::max(1, request.fields.n);
  if (request.has("n") && request.fields.n != options.keep)
    throw ApiError(400, "'n' and 'keep' are the same thing and differ here: give one of them", "n");
  if (!request.has("candidates")) options.candidates = std::max(candidates, options.keep);
  check_at_most("candidates", static_cast<size_t>(options.candidates), limits.candidates);
  check_at_most("only", options.only.size(), limits.candidates);
  check_at_most(request.has("n") ? "n" : "keep", static_cast<size_t>(options.keep), limits.keep);
  const size_t drawn = options.only.empty() ? static_cast<size_t>(options.candidates) : options.only.size();
  if (static_cast<size_t>(options.keep) > drawn)
    throw ApiError(400, fmt::format("{} pictures cannot be kept of {}", options.keep, drawn), "keep");
}

void check_given_picture(const ImageRequest& request) {
  const auto& fields = request.fields;
  if (request.task == ImageTask::generation) return;
  if (request.image.empty()) throw ApiError(400, "the form has no 'image'", "image");
  const int ways = request.has("keep_rows") + request.has("region") + !request.mask.empty();
  if (ways > 1) throw ApiError(400, "give one of 'mask', 'keep_rows' and 'region'", "mask");
  if (request.has("region") && fields.region.size() != 4)
    throw ApiError(400, "'region' is four numbers: x,y,w,h", "region");
  if (fields.depths.size() > 64) throw ApiError(400, "'depths' has more than 64 numbers", "depths");
}

}  // namespace

ImageRequest read_image_request(ImageTask task, std::string_view body, std::string_view content_type,
                                const Limits& limits, int candidates) {
  ImageRequest request;
  request.task = task;
  read_fields(read_document(body, content_type, limits, request), request);
  if (!request.has("prompt") && task != ImageTask::variation)
    throw ApiError(400, "the request has no 'prompt'", "prompt", "missing_required_parameter");
  check_text("prompt", request.options.prompt, limits);
  check_text("negative", request.options.negative, limits);
  settle_counts(request, limits, candidates);
  check_given_picture(request);
  const auto& fields = request.fields;
  if ((fields.partial_images > 0 || fields.progress) && !fields.stream)
    throw ApiError(400, "'partial_images' and 'progress' need 'stream'",
                   fields.progress ? "progress" : "partial_images");
  return request;
}

}  // namespace dalle1::serve
