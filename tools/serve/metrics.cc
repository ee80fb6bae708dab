#include "tools/serve/metrics.h"

#include <fmt/format.h>

namespace dalle1::serve {
namespace {

class Writer {
 public:
  void begin(const char* name, const char* type, const char* help) {
    name_ = name;
    text += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", name, help, type);
  }
  template <typename Number>
  void value(const Number& number, const std::string& labels = {}) {
    text += fmt::format("{}{} {}\n", name_, labels.empty() ? "" : "{" + labels + "}", number);
  }
  std::string text;

 private:
  std::string name_;
};

void write_totals(Writer& out, const DrawingTotals& totals) {
  out.begin("dalle1_queue_length", "gauge", "Requests that wait to be drawn.");
  out.value(totals.queued);
  out.begin("dalle1_drawing", "gauge", "Requests that are being drawn.");
  out.value(totals.drawing);
  out.begin("dalle1_drawings_total", "counter", "Requests for pictures that ended.");
  out.value(totals.completed, "state=\"completed\"");
  out.value(totals.failed, "state=\"failed\"");
  out.value(totals.cancelled, "state=\"cancelled\"");
  out.begin("dalle1_candidates_total", "counter", "Candidates drawn and scored.");
  out.value(totals.candidates);
  out.begin("dalle1_tokens_total", "counter", "Image tokens sampled.");
  out.value(totals.tokens);
  out.begin("dalle1_stage_seconds_total", "counter", "Time spent drawing, by stage.");
  out.value(totals.seconds.prefill, "stage=\"prefill\"");
  out.value(totals.seconds.sample, "stage=\"sample\"");
  out.value(totals.seconds.decode, "stage=\"decode\"");
  out.value(totals.seconds.score, "stage=\"score\"");
  out.value(totals.seconds.write, "stage=\"write\"");
}

}  // namespace

void Metrics::count(const Answered& answered, const std::string& path) {
  const std::lock_guard lock(mutex_);
  ++requests_[{path, answered.status}];
  seconds_ += answered.seconds;
}

std::string Metrics::text(const DrawingTotals& totals) const {
  Writer out;
  write_totals(out, totals);
  const std::lock_guard lock(mutex_);
  out.begin("dalle1_requests_total", "counter", "Answered requests; status 499 where the client had gone.");
  for (const auto& [of, count] : requests_)
    out.value(count, fmt::format("path=\"{}\",status=\"{}\"", of.first, of.second));
  out.begin("dalle1_request_seconds_total", "counter",
            "Time from the end of requests to the end of answers.");
  out.value(seconds_);
  return out.text;
}

}  // namespace dalle1::serve
