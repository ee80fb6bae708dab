#include "tools/serve/image_answer.h"

#include <algorithm>
#include <chrono>

#include "tools/program/options.h"
#include "tools/serve/http/api_error.h"
#include "tools/serve/http/base64.h"

namespace dalle1::serve {
namespace {

using rerank::Json;
using Clock = std::chrono::steady_clock;

constexpr int kMostPreviewed = 4;  // pictures of a wave: each is decoded again and again
constexpr auto kBetweenProgress = std::chrono::milliseconds(200);

std::string png_text(const Image& picture, const std::vector<PngText>& texts = {}) {
  return base64(encode_png(picture, texts));
}

int64_t unix_time() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

ApiError as_answer(const Error& error) {
  if (error.kind() == ErrorKind::interrupted) return {503, "the request was cancelled", "", "cancelled"};
  return as_api_error(error);
}

// Every image token of every candidate was computed for this request.
Json usage_of(const ImageAnswer& answer, int candidates) {
  const int64_t drawn = static_cast<int64_t>(candidates) * answer.grid * answer.grid;
  const int given = answer.task == ImageTask::generation ? 0 : answer.grid * answer.grid;
  return {{"input_tokens", answer.text_tokens + given},
          {"input_tokens_details", {{"text_tokens", answer.text_tokens}, {"image_tokens", given}}},
          {"output_tokens", drawn},
          {"total_tokens", answer.text_tokens + given + drawn}};
}

Json scores_of(const rerank::ResultRow& row) {
  Json scores = Json::object();
  for (const auto& [name, value] : row.scores) scores[name] = value;
  return scores;
}

// A kept picture: the file that the command line writes.
Json json_of(const rerank::MemorySink::Picture& kept) {
  const auto& row = kept.row;
  return {{"b64_json", png_text(kept.picture, kept.texts)},
          {"rank", row.rank},
          {"candidate", row.candidate},
          {"seed", row.seed},
          {"score", row.scores.front().second},
          {"scores", scores_of(row)}};
}

Json of_pictures(const ImageAnswer& answer) {
  return {{"size", answer.size}, {"quality", "standard"}, {"background", "opaque"}, {"output_format", "png"}};
}

class OneDocument final : public DrawingListener {
 public:
  OneDocument(ImageAnswer answer, std::shared_ptr<Exchange> exchange)
      : answer_(std::move(answer)), exchange_(std::move(exchange)) {}

  void finished(const rerank::MemorySink& result, const rerank::PipelineResult& summary) override {
    Json document = {{"created", unix_time()}, {"data", Json::array()}};
    for (const auto& kept : result.pictures()) document["data"].push_back(json_of(kept));
    document.update(of_pictures(answer_));
    document["usage"] = usage_of(answer_, summary.candidates_done);
    document["id"] = answer_.id;
    document["model"] = answer_.model;
    document["seed"] = answer_.options.seed;
    document["candidates"] = summary.candidates_done;
    document["seconds"] = summary.seconds.total();
    exchange_->respond({200, tools::json_text(document, -1) + "\n"});
  }
  void failed(const Error& error) override { exchange_->respond(error_response(as_answer(error))); }

 private:
  const ImageAnswer answer_;
  const std::shared_ptr<Exchange> exchange_;
};

class Events final : public DrawingListener {
 public:
  Events(ImageAnswer answer, std::shared_ptr<Exchange> exchange)
      : answer_(std::move(answer)),
        exchange_(std::move(exchange)),
        prefix_(answer_.task == ImageTask::generation ? "image_generation"
                : answer_.task == ImageTask::edit     ? "image_edit"
                                                      : "image_variation") {}

  void started() override {
    if (answer_.fields.progress) send("dalle1.started", {{"id", answer_.id}, {"seed", answer_.options.seed}});
  }

  rerank::PreviewWish wished_previews() const override {
    const int wanted = answer_.fields.partial_images;
    if (wanted == 0 || (scored_ > 0 && !answer_.fields.progress)) return {};
    return {(answer_.grid + wanted) / (wanted + 1), std::min(answer_.options.keep, kMostPreviewed)};
  }

  void preview(const rerank::Preview& preview) override {
    for (size_t i = 0; i < preview.pictures.size(); ++i) {
      Json event = {{"b64_json", png_text(preview.pictures[i])},
                    {"partial_image_index", partial_index_},
                    {"created_at", unix_time()}};
      event.update(of_pictures(answer_));
      event["background"] = "transparent";  // where nothing is drawn yet
      event["candidate"] = preview.candidates[i];
      event["rows"] = preview.rows;
      send(prefix_ + ".partial_image", event, true);
    }
    ++partial_index_;
  }

  // The pictures that are among the best so far.
  void scored(const std::vector<rerank::ResultRow>& rows, const std::vector<Image>& pictures) override {
    scored_ += rows.size();
    if (!answer_.fields.progress) return;
    for (const auto& row : rows) best_.push_back(row.standing());
    std::sort(best_.begin(), best_.end(), rerank::ranks_before);
    best_.resize(std::min(best_.size(), static_cast<size_t>(answer_.options.keep)));
    for (size_t i = 0; i < rows.size(); ++i) {
      if (rerank::ranks_before(best_.back(), rows[i].standing())) continue;
      send("dalle1.scored",
           {{"candidate", rows[i].candidate},
            {"score", rows[i].scores.front().second},
            {"b64_json", png_text(pictures[i])}},
           true);
    }
  }

  void progress(const rerank::PipelineProgress& progress) override {
    const bool new_stage = progress.stage != stage_;
    if (!answer_.fields.progress || (!new_stage && Clock::now() < last_progress_ + kBetweenProgress)) return;
    last_progress_ = Clock::now();
    stage_ = progress.stage;
    Json event = {{"stage", rerank::name_of(progress.stage)},
                  {"candidates_done", progress.candidates_done},
                  {"candidates", progress.candidates},
                  {"tokens_done", progress.tokens_done},
                  {"tokens", progress.tokens},
                  {"tokens_per_second", progress.tokens_per_second},
                  {"seconds", progress.seconds}};
    if (progress.seconds_left) event["seconds_left"] = *progress.seconds_left;
    if (progress.best_score) event["best_score"] = *progress.best_score;
    send("dalle1.progress", event, true);
  }

  void finished(const rerank::MemorySink& result, const rerank::PipelineResult& summary) override {
    for (const auto& kept : result.pictures()) {
      Json event = json_of(kept);
      event["created_at"] = unix_time();
      event.update(of_pictures(answer_));
      event["usage"] = usage_of(answer_, summary.candidates_done);
      send(prefix_ + ".completed", event);
    }
    exchange_->end();
  }

  void failed(const Error& error) override {
    exchange_->event("event: error\ndata: " + error_json(as_answer(error)) + "\n\n", false);
    exchange_->end();
  }

 private:
  void send(const std::string& type, const Json& event, bool droppable = false) {
    Json typed = {{"type", type}};
    typed.update(event);
    exchange_->event("event: " + type + "\ndata: " + tools::json_text(typed, -1) + "\n\n", droppable);
  }

  const ImageAnswer answer_;
  const std::shared_ptr<Exchange> exchange_;
  std::vector<rerank::Standing> best_;
  const std::string prefix_;
  size_t scored_ = 0;
  int partial_index_ = 0;
  rerank::Stage stage_ = rerank::Stage::prefill;
  Clock::time_point last_progress_{};
};

}  // namespace

std::shared_ptr<DrawingListener> make_listener(ImageAnswer answer, std::shared_ptr<Exchange> exchange) {
  if (answer.fields.stream) return std::make_shared<Events>(std::move(answer), std::move(exchange));
  return std::make_shared<OneDocument>(std::move(answer), std::move(exchange));
}

}  // namespace dalle1::serve
