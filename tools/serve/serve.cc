// dalle1 serve: the models loaded once, pictures over HTTP, and a page to draw with.
#include <fmt/format.h>

#include <thread>

#include "core/error.h"
#include "tools/models/open_model_set.h"
#include "tools/program/command.h"
#include "tools/program/interrupt.h"
#include "tools/program/progress.h"
#include "tools/serve/api.h"
#include "tools/serve/drawers.h"
#include "tools/serve/http/http_server.h"
#include "tools/serve/speed.h"

namespace dalle1::tools {
namespace {

struct ServeOptions {
  std::string host = "127.0.0.1", keys, scorer;
  int port = 8080, candidates = 64;
  int at_once = 0, queue = 64, connections = 160, timeout = 3600, grace = 60;
  int max_candidates = 512, max_keep = 64;

  /// More on a CPU would only wait for a place in the steps.
  size_t drawn_at_once(const Device& device) const {
    if (at_once > 0) return static_cast<size_t>(at_once);
    return device.is_cpu() ? 16 : 1;
  }
  serve::Limits limits() const {
    serve::Limits limits;
    limits.connections = static_cast<size_t>(connections);
    limits.queue = static_cast<size_t>(queue);
    limits.candidates = max_candidates;
    limits.keep = max_keep;
    limits.answer_time = std::chrono::seconds(timeout);
    limits.stopping_time = std::chrono::seconds(grace);
    return limits;
  }
};

serve::Access access_of(const ServeOptions& options) {
  const bool loopback = serve::is_loopback(options.host);
  serve::Access access(loopback);
  if (!options.keys.empty()) access.read_keys(options.keys);
  check(loopback || access.has_keys(), ErrorKind::usage,
        "{} can be reached from other machines: give --api-key-file FILE, one key a line", options.host);
  return access;
}

void tell_answered(const CommonOptions& common, const serve::Answered& answered) {
  const rerank::Json event = {{"event", "request"},         {"id", answered.id},
                              {"client", answered.client},  {"method", answered.method},
                              {"path", answered.path},      {"status", answered.status},
                              {"seconds", answered.seconds}};
  tell(common, event,
       fmt::format("{} {} {} {} {}", answered.client, answered.method, answered.path, answered.status,
                   duration_text(answered.seconds)));
}

int serve_until_stopped(const ServeOptions& options, const CommonOptions& common) {
  check(options.candidates <= options.max_candidates, ErrorKind::usage,
        "--candidates {} is more than --max-candidates {}", options.candidates, options.max_candidates);
  const auto access = access_of(options);
  const auto limits = options.limits();
  GracefulStop stop;
  rerank::Session session(open_model_set(common, options.scorer, Judges::all));
  const double each = serve::measure_candidate(session, options.scorer);
  std::unique_ptr<serve::Api> api;
  serve::HttpServer http(
      options.host, options.port, limits,
      [&](serve::Request request, const std::shared_ptr<serve::Exchange>& exchange) {
        api->handle(std::move(request), exchange);
      },
      [&](const serve::Answered& answered) {
        api->count(answered);
        tell_answered(common, answered);
      });
  serve::Drawers drawing(session, options.drawn_at_once(session.models().device()), limits.queue);
  api = std::make_unique<serve::Api>(session, drawing, access,
                                     serve::ApiSettings{limits, options.candidates, options.scorer, each});
  http.start();
  const auto host = options.host.find(':') == std::string::npos ? options.host : "[" + options.host + "]";
  const auto url = fmt::format("http://{}:{}", host, http.port());
  tell(
      common, {{"event", "listening"}, {"url", url}, {"seconds_per_candidate", each}},
      fmt::format("{} at {}; a candidate takes about {}", session.models().name(), url, duration_text(each)));
  while (!GracefulStop::requested()) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  tell(common, {{"event", "stopping"}},
       fmt::format("stopping: what is being drawn has {} to end", duration_text(options.grace)));
  drawing.stop(limits.stopping_time);
  http.stop(limits.write_time);
  api.reset();  // the last that could hand the drawing something
  return 0;
}

}  // namespace

Command serve_command() {
  return {"serve", "Draw over HTTP, as OpenAI's clients ask, with a page for people",
          "dalle1 serve --port 8080", [](CLI::App& app, CommonOptions& common) {
            auto options = std::make_shared<ServeOptions>();
            const auto number = [&](const char* name, int& value, int least, int most, const char* help) {
              app.add_option(name, value, help)->check(CLI::Range(least, most))->capture_default_str();
            };
            app.add_option("--host", options->host, "Address to listen on; others than loopback need keys")
                ->capture_default_str();
            number("--port", options->port, 0, 65535, "Port to listen on; 0: any that is free");
            app.add_option("--api-key-file", options->keys,
                           "File of keys, one a line: requests must show one of them as a bearer token");
            number("--candidates", options->candidates, 1, 1000000, "Candidates of a request that says none");
            app.add_option(
                "--scorer", options->scorer,
                "Scorer of a request that says none, as of sample (default: the model's advice, else clip)");
            number("--max-candidates", options->max_candidates, 1, 1000000, "Most candidates of a request");
            number("--max-keep", options->max_keep, 1, 10000, "Most pictures in an answer");
            number("--at-once", options->at_once, 0, 1000,
                   "Requests drawn at a time; 0: 16, which share decoding steps, on a GPU 1");
            number("--queue", options->queue, 1, 100000, "Requests that may wait; others get 429");
            number("--connections", options->connections, 1, 100000, "Most connections; more than may wait");
            number("--timeout", options->timeout, 1, 1000000, "Seconds that an answer may take");
            number("--grace", options->grace, 0, 1000000,
                   "Seconds that what is being drawn has to end when the server is told to stop");
            add_model_options(app, common);
            return [options, &common] { return serve_until_stopped(*options, common); };
          }};
}

}  // namespace dalle1::tools
