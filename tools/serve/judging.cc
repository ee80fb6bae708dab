#include "tools/serve/judging.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "clip/features.h"
#include "core/image/resample.h"
#include "rerank/top_k.h"
#include "tools/program/options.h"
#include "tools/serve/http/api_error.h"
#include "tools/serve/http/base64.h"
#include "tools/serve/http/body.h"
#include "tools/serve/image_job.h"
#include "transformer/caption_decoder.h"

namespace dalle1::serve {
namespace {

using rerank::Json;

template <typename Fields>
BodyFields fields_with_pictures() {
  BodyFields fields;
  Fields values;
  Fields::visit(values, fields);
  fields.files.insert("image");
  return fields;
}

template <typename Fields>
Fields values_of(const Body& body) {
  Fields fields;
  for (const auto& [name, value] : body.document.items())
    about(name, [&, &name = name, &value = value] {
      config::read_known(nlohmann::json{{name, value}}, fields);
    });
  return fields;
}

void check_has_pictures(const Body& body) {
  if (body.files.empty()) throw ApiError(400, "the form has no 'image'", "image");
}

struct JudgedPicture {
  Tensor features;  // [1, D]
  bool constant = false;
};

// One in memory at a time, however large they are, and a turn for each.
std::vector<JudgedPicture> judged_pictures(rerank::Session& session, const Body& body) {
  check_has_pictures(body);
  const auto& models = session.models();
  std::vector<JudgedPicture> judged;
  for (const auto& [name, content] : body.files) {
    const Image picture = picture_of(content, name);
    session.take_turn([&] {
      judged.push_back(
          {clip::image_features(models.clip(), models.device(), {&picture, 1}), is_constant(picture)});
    });
  }
  return judged;
}

void check_has_clip(const rerank::ModelSet& models, const std::string& asked) {
  check_model(models, asked);
  if (!models.has_clip()) throw ApiError(400, "this server's model has no CLIP");
}

// [1, D] each.
std::vector<Tensor> text_features(rerank::Session& session, const std::string& field,
                                  std::span<const std::string> texts, bool truncate) {
  const auto& models = session.models();
  Tensor features;
  about(field, [&] {
    session.take_turn([&] {
      features =
          clip::text_features(models.clip(), models.device(), models.clip_tokenizer(), texts, truncate);
    });
  });
  std::vector<Tensor> rows;
  for (int64_t i = 0; i < features.dim(0); ++i) rows.push_back(features.rows(i, i + 1));
  return rows;
}

std::vector<std::string> captions_of(const rerank::ModelSet& models, const Image& picture,
                                     const transformer::CaptionRequest& wanted) {
  const auto& captioner = models.captioner();
  const int64_t grid = captioner.config().grid;
  const auto codes =
      models.decoder().encode(fit_square(to_rgb(picture), models.decoder().encoded_size(), Filter::area));
  transformer::CaptionCondition condition;
  condition.codes =
      Tensor::from(models.device(), {1, grid, grid}, std::vector<int64_t>(codes.begin(), codes.end()));
  Context context(models.device());
  const Tensor vectors = captioner.picture_vectors(context, condition);
  std::vector<std::string> captions;
  for (const auto& caption : transformer::write_captions(context, captioner, vectors, wanted))
    captions.push_back(models.captioner_tokenizer().decode(caption.ids));
  return captions;
}

// Of length 1.
std::vector<float> unit(const Tensor& features) {
  auto values = features.to_floats();
  double squares = 0;
  for (const float value : values) squares += double(value) * value;
  const double length = std::max(std::sqrt(squares), 1e-12);
  for (float& value : values) value = static_cast<float>(value / length);
  return values;
}

Json as_json(std::span<const float> values, const std::string& encoding) {
  if (encoding == "float") return Json(std::vector<float>(values.begin(), values.end()));
  static_assert(std::endian::native == std::endian::little);
  return base64({reinterpret_cast<const uint8_t*>(values.data()), values.size_bytes()});
}

Response list_of(const rerank::ModelSet& models, Json data) {
  return {
      200,
      tools::json_text({{"object", "list"}, {"model", models.name()}, {"data", std::move(data)}}, -1) + "\n"};
}

}  // namespace

Response rank_answer(rerank::Session& session, const Limits& limits, const Request& request) {
  const auto body =
      read_form_body(request.body, request.content_type, fields_with_pictures<RankFields>(), limits);
  const auto fields = values_of<RankFields>(body);
  if (fields.prompt.empty())
    throw ApiError(400, "the form has no 'prompt'", "prompt", "missing_required_parameter");
  check_text("prompt", fields.prompt, limits);
  const auto& models = session.models();
  check_has_clip(models, fields.model);
  const auto text = text_features(session, "prompt", {&fields.prompt, 1}, fields.truncate).front();
  std::vector<rerank::Standing> order;
  for (const auto& picture : judged_pictures(session, body))
    order.push_back({clip::cosines(picture.features, text).to_floats().front(),
                     static_cast<uint32_t>(order.size()), picture.constant});
  std::sort(order.begin(), order.end(), rerank::ranks_before);
  Json data = Json::array();
  for (const auto& standing : order)
    data.push_back({{"index", standing.candidate},
                    {"cosine", standing.score},
                    {"logit", standing.score * models.clip().scale()},
                    {"constant", standing.constant}});
  return list_of(models, std::move(data));
}

Response embeddings_answer(rerank::Session& session, const Limits& limits, const Request& request) {
  const bool form = is_form(request.content_type);
  const auto body = (form ? read_form_body : read_json_body)(request.body, request.content_type,
                                                             fields_with_pictures<EmbeddingFields>(), limits);
  const auto fields = values_of<EmbeddingFields>(body);
  const auto& models = session.models();
  check_has_clip(models, fields.model);
  if (form && !fields.input.empty())
    throw ApiError(400, "a form has pictures; texts are sent as JSON", "input");
  if (!form && fields.input.empty())
    throw ApiError(400, "the request has no 'input'", "input", "missing_required_parameter");
  if (fields.input.size() > limits.form_parts)
    throw ApiError(
        400, fmt::format("'input' has {} texts; {} are allowed", fields.input.size(), limits.form_parts),
        "input");
  for (const auto& text : fields.input) check_text("input", text, limits);
  std::vector<Tensor> features;
  if (form)
    for (auto& picture : judged_pictures(session, body)) features.push_back(std::move(picture.features));
  else
    features = text_features(session, "input", fields.input, fields.truncate);
  Json data = Json::array();
  for (const auto& each : features)
    data.push_back({{"object", "embedding"},
                    {"index", data.size()},
                    {"embedding", as_json(unit(each), fields.encoding_format)}});
  return list_of(models, std::move(data));
}

Response captions_answer(rerank::Session& session, const Limits& limits, const Request& request) {
  const auto body =
      read_form_body(request.body, request.content_type, fields_with_pictures<CaptionFields>(), limits);
  const auto fields = values_of<CaptionFields>(body);
  const auto& models = session.models();
  check_model(models, fields.model);
  if (!models.has_captioner()) throw ApiError(400, "this server's model has no captioner");
  check_has_pictures(body);
  const transformer::CaptionRequest wanted = {
      fields.count, {.temperature = static_cast<float>(fields.temperature)}, fields.seed};
  if (fields.count > 1 && fields.temperature == 0)
    throw ApiError(400, "the likeliest caption is always the same: several need a 'temperature' above 0",
                   "count");
  Json data = Json::array();
  for (const auto& [name, content] : body.files) {
    const Image picture = picture_of(content, name);
    session.take_turn([&] {
      data.push_back({{"index", data.size()}, {"captions", captions_of(models, picture, wanted)}});
    });
  }
  return list_of(models, std::move(data));
}

}  // namespace dalle1::serve
