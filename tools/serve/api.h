// The paths of the server: what is asked for, by whom, and who answers.
#pragma once

#include <functional>
#include <span>

#include "rerank/session.h"
#include "tools/serve/http/access.h"
#include "tools/serve/http/background.h"
#include "tools/serve/image_answer.h"
#include "tools/serve/metrics.h"

namespace dalle1::serve {

struct ApiSettings {
  Limits limits;
  int candidates = 64;               ///< Of a request that says none.
  std::string scorer;                ///< The same; empty: the model's.
  double seconds_per_candidate = 0;  ///< Measured at the start.
};

class Api {
 public:
  /// All of them must outlive it.
  Api(rerank::Session& session, Drawing& drawing, const Access& access, ApiSettings settings);

  /// See Handler.
  void handle(Request request, const std::shared_ptr<Exchange>& exchange);
  /// For the metrics.
  void count(const Answered& answered) { metrics_.count(answered, pattern_of(answered.path)); }

  struct Route {
    const char *method, *path;                        ///< A variable part of the path as {id}.
    bool open;                                        ///< Without a key.
    Response (Api::*answer)(const Request& request);  ///< Null where pictures are drawn.
    rerank::Json (*body)() = nullptr;                 ///< What OpenAPI says of it, where one is read.
    ImageTask task = ImageTask::generation;
    bool judges = false;  ///< Answered behind other such requests, since it takes a while.
  };
  /// All but the files of the page.
  static std::span<const Route> routes();

 private:
  static const Route& route_of(const Request& request);
  static std::string pattern_of(const std::string& path);

  void draw(ImageTask task, const Request& request, const std::shared_ptr<Exchange>& exchange);

  Response health(const Request& request);
  Response metrics(const Request& request);
  Response models(const Request& request);
  Response model(const Request& request);
  Response job(const Request& request);
  Response cancel(const Request& request);
  Response rank(const Request& request);
  Response embeddings(const Request& request);
  Response captions(const Request& request);
  Response openapi(const Request& request);
  rerank::Json model_document() const;

  rerank::Session& session_;
  Drawing& drawing_;
  const Access& access_;
  const ApiSettings settings_;
  Metrics metrics_;
  Background preparing_, judging_;  // reading a picture takes a while, and so does CLIP
};

}  // namespace dalle1::serve
