#include "tools/serve/image_request.h"

#include <algorithm>

#include "tools/serve/http/api_error.h"
#include "tools/serve/http/body.h"

namespace dalle1::serve {
namespace {

using Document = nlohmann::json;

BodyFields fields_of(ImageTask task) {
  BodyFields kinds;
  rerank::GenerationOptions options;
  ImageFields fields;
  rerank::GenerationOptions::visit(options, kinds);
  ImageFields::visit(fields, kinds);
  if (task == ImageTask::edit) ImageFields::visit_edit(fields, kinds);
  if (task == ImageTask::variation) ImageFields::visit_variation(fields, kinds);
  if (task != ImageTask::generation) kinds.files.insert("image");
  if (task == ImageTask::edit) kinds.files.insert("mask");
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

void read_fields(const Body& body, ImageRequest& request) {
  for (const auto& [name, value] : body.document.items()) {
    about(name, [&, &name = name, &value = value] { read_field(name, value, request); });
    request.given.insert(name);
  }
  for (const auto& [name, content] : body.files) {
    auto& file = name == "image" ? request.image : request.mask;
    if (file.data()) throw ApiError(400, fmt::format("the form has '{}' twice", name), name);
    file = content;
  }
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
  const auto read = task == ImageTask::generation ? read_json_body : read_form_body;
  read_fields(read(body, content_type, fields_of(task), limits), request);
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
