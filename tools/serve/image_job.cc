#include "tools/serve/image_job.h"

#include <algorithm>

#include "core/image/resample.h"
#include "tools/models/transformer_model.h"
#include "tools/serve/http/api_error.h"
#include "tools/serve/http/random_id.h"
#include "weights/sha256.h"

namespace dalle1::serve {
namespace {

// As bytes, of which the decoder and the checksum are made.
std::span<const uint8_t> bytes_of(std::string_view file) {
  return {reinterpret_cast<const uint8_t*>(file.data()), file.size()};
}
std::string checksum_of(std::string_view file) {
  return file.empty() ? std::string() : weights::sha256(std::as_bytes(bytes_of(file)));
}

// Keeps of the picture what the models will see of it; a large one would be kept for as long as it waits.
Image fitted(const Image& picture, const rerank::DvaeDecoder& decoder) {
  const bool one_size = decoder.encoded_size() == decoder.picture_size();
  return one_size ? fit_square(to_rgb(picture), decoder.encoded_size()) : picture;
}

rerank::Redraw redraw_of(const ImageRequest& request, const Image& picture, int grid) {
  const auto& fields = request.fields;
  if (request.has("keep_rows"))
    return about("keep_rows", [&] { return rerank::keep_top_rows(grid, fields.keep_rows); });
  if (request.has("region"))
    return about("region", [&] {
      return rerank::redraw_region(grid, picture,
                                   {fields.region[0], fields.region[1], fields.region[2], fields.region[3]});
    });
  if (request.mask.empty() && picture.channels != 4)
    throw ApiError(
        400, "say what to draw anew: a 'mask', 'keep_rows', 'region', or an image with transparency", "mask");
  return about("mask", [&] {
    return rerank::redraw_mask(grid, picture,
                               request.mask.empty() ? picture : picture_of(request.mask, "mask"));
  });
}

rerank::GivenPicture edited(const ImageRequest& request, const rerank::ModelSet& models) {
  const auto picture = picture_of(request.image, "image");
  const auto& fields = request.fields;
  rerank::GivenPicture given;
  auto redraw = redraw_of(request, picture, models.config().grid);
  if (fields.redraw_rest) rerank::redraw_rest(redraw);
  given.redraws = {std::move(redraw)};
  given.picture = fitted(picture, models.decoder());
  given.paste = fields.paste;
  const bool own_alpha = !request.has("keep_rows") && !request.has("region") && request.mask.empty();
  given.options = {{"image", checksum_of(request.image)},
                   {"keep_rows", fields.keep_rows},
                   {"region", fields.region},
                   {"mask", checksum_of(own_alpha ? request.image : request.mask)},
                   {"redraw_rest", fields.redraw_rest},
                   {"paste", fields.paste}};
  return given;
}

rerank::GivenPicture varied(const ImageRequest& request, const rerank::ModelSet& models) {
  const int grid = models.config().grid;
  auto depths = request.fields.depths;
  if (depths.empty()) depths = {std::max(1, grid / 4), std::max(1, grid / 2), std::max(1, grid * 3 / 4)};
  rerank::GivenPicture given;
  given.picture = fitted(picture_of(request.image, "image"), models.decoder());
  for (const int depth : depths)
    given.redraws.push_back(about("depths", [&] { return rerank::keep_top_rows(grid, depth); }));
  given.options = {{"image", checksum_of(request.image)}, {"depths", depths}};
  return given;
}

void check_fields(const rerank::ModelSet& models, const ImageFields& fields) {
  check_model(models, fields.model);
  const auto size = size_of_pictures(models);
  if (fields.size != "auto" && fields.size != size)
    throw ApiError(400, fmt::format("'size' is '{}'; this model draws {}", fields.size, size), "size");
}

}  // namespace

std::string size_of_pictures(const rerank::ModelSet& models) {
  return fmt::format("{0}x{0}", models.decoder().picture_size());
}

void check_model(const rerank::ModelSet& models, const std::string& asked) {
  if (!asked.empty() && asked != models.name())
    throw ApiError(404,
                   fmt::format("there is no model '{}' here; this server has '{}'", asked, models.name()),
                   "model", "model_not_found");
}

Image picture_of(std::string_view file, const std::string& field) {
  return about(field, [&] { return decode_image(bytes_of(file), fmt::format("'{}'", field)); });
}

DrawingRequest make_drawing_request(const rerank::ModelSet& models, const ImageRequest& request) {
  check_fields(models, request.fields);
  DrawingRequest drawing;
  auto& options = drawing.options = request.options;
  rerank::take_advice(options, models.sampling_advice(), request.given);
  about("scorer", [&] { models.check_parts_for(rerank::parse_scorer(options.scorer)); });
  about("prune", [&] { rerank::check_pruning(options); });
  about("negative", [&] { rerank::validate(options); });
  about("prompt", [&] { models.text_slots(options.prompt, options.truncate); });
  about("negative", [&] { models.text_slots(options.negative, options.truncate); });
  options.kv_dtype = tools::kv_dtype_of(options.kv_dtype, models.precision(), models.device());
  if (!request.has("seed")) options.seed = random_number() >> 11;  // which JavaScript's numbers hold
  if (request.task == ImageTask::edit) drawing.given = edited(request, models);
  if (request.task == ImageTask::variation) drawing.given = varied(request, models);
  return drawing;
}

}  // namespace dalle1::serve
