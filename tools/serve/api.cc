#include "tools/serve/api.h"

#include "tools/program/options.h"
#include "tools/serve/http/api_error.h"
#include "tools/serve/image_job.h"
#include "tools/serve/judging.h"
#include "tools/serve/openapi.h"
#include "tools/serve/page_files.h"

namespace dalle1::serve {
namespace {

using rerank::Json;

std::string line_of(const Json& json) { return tools::json_text(json, -1) + "\n"; }

// What a pattern's {id} stands for in a path; nothing where the path is another.
std::optional<std::string> matched(std::string_view pattern, std::string_view path) {
  const size_t begin = pattern.find("{id}");
  if (begin == pattern.npos) return pattern == path ? std::optional<std::string>("") : std::nullopt;
  const auto rest = pattern.substr(begin + 4);
  if (!path.starts_with(pattern.substr(0, begin)) || !path.ends_with(rest) ||
      path.size() <= begin + rest.size())
    return std::nullopt;
  const auto id = path.substr(begin, path.size() - begin - rest.size());
  return id.find('/') == id.npos ? std::optional(std::string(id)) : std::nullopt;
}

const PageFile* page_file_of(const Request& request) {
  if (request.method != "GET" && request.method != "HEAD") return nullptr;
  for (const auto& file : page_files())
    if (file.path == request.path) return &file;
  return nullptr;
}

// The page asks its own server alone, and nobody may show it in a frame.
Response as_response(const PageFile& file) {
  return {200,
          std::string(file.content),
          std::string(file.type),
          {{"Content-Security-Policy",
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
            "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
           {"Referrer-Policy", "no-referrer"},
           {"Cache-Control", "no-cache"}}};
}

Json job_document(const std::string& id, const DrawingStatus& status) {
  Json json = {{"id", id}, {"object", "job"}, {"status", name_of(status.state)}};
  if (status.state == DrawingState::queued) json["ahead"] = status.ahead;
  json["fraction"] = status.fraction;
  if (status.seconds_left) json["seconds_left"] = *status.seconds_left;
  if (!status.error.empty()) json["error"] = status.error;
  return json;
}

// Calls `action`; what it throws becomes the answer.
void answering(const std::shared_ptr<Exchange>& exchange, const auto& action) {
  try {
    action();
  } catch (const ApiError& error) {
    exchange->respond(error_response(error));
  } catch (const Error& error) {
    exchange->respond(error_response(as_api_error(error)));
  } catch (const std::bad_alloc&) {
    exchange->respond(error_response({503, "the system has no more memory to give"}));
  } catch (const std::exception& error) {
    exchange->respond(error_response({500, error.what()}));
  }
}

}  // namespace

Api::Api(rerank::Session& session, Drawing& drawing, const Access& access, ApiSettings settings)
    : session_(session), drawing_(drawing), access_(access), settings_(std::move(settings)) {}

std::span<const Api::Route> Api::routes() {
  static const Route table[] = {
      {"GET", "/health", true, &Api::health},
      {"GET", "/openapi.json", true, &Api::openapi},
      {"GET", "/metrics", false, &Api::metrics},
      {"GET", "/v1/models", false, &Api::models},
      {"GET", "/v1/models/{id}", false, &Api::model},
      {"GET", "/v1/jobs/{id}", false, &Api::job},
      {"POST", "/v1/jobs/{id}/cancel", false, &Api::cancel},
      {"POST", "/v1/images/generations", false, nullptr, [] { return image_body(ImageTask::generation); },
       ImageTask::generation},
      {"POST", "/v1/images/edits", false, nullptr, [] { return image_body(ImageTask::edit); },
       ImageTask::edit},
      {"POST", "/v1/images/variations", false, nullptr, [] { return image_body(ImageTask::variation); },
       ImageTask::variation},
      {"POST", "/v1/rank", false, &Api::rank, rank_body, {}, true},
      {"POST", "/v1/embeddings", false, &Api::embeddings, embeddings_body, {}, true},
      {"POST", "/v1/captions", false, &Api::captions, captions_body, {}, true},
  };
  return table;
}

std::string Api::pattern_of(const std::string& path) {
  for (const auto& route : routes())
    if (matched(route.path, path)) return route.path;
  for (const auto& file : page_files())
    if (file.path == path) return "/";
  return "other";
}

const Api::Route& Api::route_of(const Request& request) {
  const auto method = request.method == "HEAD" ? "GET" : request.method;
  bool known = false;
  for (const auto& route : routes()) {
    if (!matched(route.path, request.path)) continue;
    if (route.method == method) return route;
    known = true;
  }
  if (known) throw ApiError(405, request.path + " does not take " + request.method);
  throw ApiError(404, "there is nothing at " + request.path + "; /openapi.json says what there is");
}

void Api::handle(Request request, const std::shared_ptr<Exchange>& exchange) {
  answering(exchange, [&] {
    access_.check_site(request);
    if (const auto* file = page_file_of(request)) return exchange->respond(as_response(*file));
    const auto& route = route_of(request);
    if (!route.open) access_.check_key(request);
    if (route.answer && !route.judges) return exchange->respond((this->*route.answer)(request));
    auto& background = route.judges ? judging_ : preparing_;
    background.add([this, &route, request = std::make_shared<Request>(std::move(request)), exchange] {
      answering(exchange, [&] {
        if (route.judges) return exchange->respond((this->*route.answer)(*request));
        draw(route.task, *request, exchange);
      });
    });
  });
}

void Api::draw(ImageTask task, const Request& request, const std::shared_ptr<Exchange>& exchange) {
  auto wanted =
      read_image_request(task, request.body, request.content_type, settings_.limits, settings_.candidates);
  if (!wanted.has("scorer") && !settings_.scorer.empty()) {
    wanted.options.scorer = settings_.scorer;
    wanted.given.insert("scorer");
  }
  const auto& models = session_.models();
  auto drawing = make_drawing_request(models, wanted);
  drawing.options.batch = std::min(drawing.options.batch, session_.usual_wave());
  drawing.id = request.id;
  drawing.client = request.client;
  drawing.listener = make_listener({.id = request.id,
                                    .model = models.name(),
                                    .size = size_of_pictures(models),
                                    .task = task,
                                    .options = drawing.options,
                                    .fields = wanted.fields,
                                    .grid = models.config().grid,
                                    .text_tokens = models.config().text_length},
                                   exchange);
  const auto submitted = drawing_.submit(std::move(drawing));
  if (submitted == Submitted::queue_is_full)
    throw ApiError(429, "the queue is full: try again soon", "", "queue_is_full");
  if (submitted == Submitted::stopping) throw ApiError(503, "the server is stopping");
  if (wanted.fields.stream) exchange->begin_events();
  exchange->on_gone([&drawing = drawing_, id = request.id] { drawing.cancel(id); });
}

Response Api::health(const Request&) {
  const auto totals = drawing_.totals();
  return {200, line_of({{"status", "ok"}, {"queued", totals.queued}, {"drawing", totals.drawing}})};
}

Response Api::metrics(const Request&) {
  return {200, metrics_.text(drawing_.totals()), "text/plain; version=0.0.4"};
}

Json Api::model_document() const {
  const auto& models = session_.models();
  rerank::GenerationOptions options;
  rerank::take_advice(options, models.sampling_advice());
  auto defaults = config::write<Json>(options);
  for (const char* field : {"prompt", "seed", "keep", "only"}) defaults.erase(field);
  defaults["candidates"] = settings_.candidates;
  if (!settings_.scorer.empty()) defaults["scorer"] = settings_.scorer;
  const auto totals = drawing_.totals();
  const double each = totals.candidates >= 16
                          ? totals.seconds.total() / static_cast<double>(totals.candidates)
                          : settings_.seconds_per_candidate;
  return {{"id", models.name()},
          {"object", "model"},
          {"created", 0},
          {"owned_by", "dalle1"},
          {"size", size_of_pictures(models)},
          {"grid", models.config().grid},
          {"device", models.device().is_cpu() ? "cpu" : "cuda"},
          {"precision", name_of(models.precision())},
          {"sha256", models.transformer_sha256()},
          {"seconds_per_candidate", each},
          {"defaults", std::move(defaults)},
          {"limits",
           {{"candidates", settings_.limits.candidates},
            {"n", settings_.limits.keep},
            {"prompt_bytes", settings_.limits.prompt_bytes},
            {"body_bytes", settings_.limits.body_bytes},
            {"queue", settings_.limits.queue}}}};
}

Response Api::models(const Request&) {
  return {200, line_of({{"object", "list"}, {"data", Json::array({model_document()})}})};
}

Response Api::model(const Request& request) {
  const auto name = matched("/v1/models/{id}", request.path).value_or("");
  if (name != session_.models().name())
    throw ApiError(404, "there is no model '" + name + "' here", "model", "model_not_found");
  return {200, line_of(model_document())};
}

Response Api::job(const Request& request) {
  const auto id = matched("/v1/jobs/{id}", request.path).value_or("");
  const auto status = drawing_.status(id);
  if (!status) throw ApiError(404, "there is no job '" + id + "', or it ended long ago");
  return {200, line_of(job_document(id, *status))};
}

Response Api::cancel(const Request& request) {
  const auto id = matched("/v1/jobs/{id}/cancel", request.path).value_or("");
  const bool cancelled = drawing_.cancel(id);
  const auto status = drawing_.status(id);
  if (!cancelled && !status) throw ApiError(404, "there is no job '" + id + "', or it ended long ago");
  if (!cancelled) throw ApiError(409, fmt::format("the job is {} already", name_of(status->state)));
  return {200, line_of({{"id", id}, {"object", "job"}, {"status", "cancelled"}})};
}

Response Api::rank(const Request& request) { return rank_answer(session_, settings_.limits, request); }

Response Api::embeddings(const Request& request) {
  return embeddings_answer(session_, settings_.limits, request);
}

Response Api::captions(const Request& request) {
  return captions_answer(session_, settings_.limits, request);
}

Response Api::openapi(const Request&) { return {200, line_of(openapi_document())}; }

}  // namespace dalle1::serve
