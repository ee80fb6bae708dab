#include "tools/draw/draw.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "core/comm/agreement.h"
#include "core/error.h"
#include "rerank/pipeline.h"
#include "tools/draw/estimate.h"
#include "tools/program/interrupt.h"
#include "tools/program/output_folder.h"
#include "tools/program/progress.h"
#include "tools/program/ranks.h"
#include "weights/sha256.h"

namespace dalle1::tools {
namespace fs = std::filesystem;
namespace {

using rerank::Json;

class Drawing {
 public:
  Drawing(const DrawOptions& options, const CommonOptions& common, const PrepareGiven& prepare)
      : options_(options), common_(common), prompts_(read_prompts(options)) {
    folder_ = options.out.empty()
                  ? fs::path("dalle1-out") / fmt::format("{}-{}", slug(prompts_[0]), options.seed)
                  : fs::path(options.out);
    if (!options.dry_run && comm_.is_root()) hold_folder();
    models_.emplace(open_model_set(common, options.asked_scorer()));
    advice_ = take_advice(options_, models_->sampling_advice());
    rerank::validate(options_);
    if (prepare) given_ = prepare(*models_);
    check_prompts();
  }

  int run() {
    const std::vector<rerank::Redraw> everything;
    const DrawOptions options = as_begun();
    plan_ = plan_drawing(*models_, options, static_cast<int>(prompts_.size() - failed_.size()),
                         given_ ? given_->redraws : everything);
    take_choices_of_root();
    if (options_.dry_run) return print_plan();
    tell(common_, {{"event", "estimate"}, {"estimate", to_json(plan_)}}, describe(plan_));
    if (!advice_.empty()) note("as the model advises: " + advice_);
    check_memory(plan_, *models_);
    models_->load();
    if (given_) fitted_.emplace(*given_, *models_);
    if (comm_.is_root()) {  // which alone writes
      if (!lock_) lock_.emplace(hold_output_folder(common_, folder_));
      rerank::prepare_folder(folder_, options_.existing());
    }
    for (size_t i = 0; i < prompts_.size() && !stop_on_any(); ++i)
      if (!failed_.count(i)) draw_prompt(i);
    return finish();
  }

 private:
  void hold_folder() {
    if (auto lock = hold_existing_folder(common_, folder_)) lock_.emplace(std::move(*lock));
    rerank::check_folder(folder_, options_.existing());
  }

  bool stop_on_any() const { return on_any(comm_, GracefulStop::requested()); }

  // A prompt that does not fit ends a run of one prompt and is skipped in a run of many.
  void check_prompts() {
    if (!options_.negative.empty()) models_->text_slots(options_.negative, options_.truncate);
    for (size_t i = 0; i < prompts_.size(); ++i) {
      try {
        models_->text_slots(prompts_[i], options_.truncate);
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::input || prompts_.size() == 1) throw;
        failed_[i] = message_of(error);
        note(fmt::format("prompt {} is skipped: {}", i, failed_[i]));
      }
    }
    check(failed_.size() < prompts_.size(), ErrorKind::input, "no prompt can be drawn; the first: {}",
          failed_.empty() ? "" : failed_.begin()->second);
  }

  void note(const std::string& text) const { tell(common_, {{"event", "note"}, {"text", text}}, text); }

  fs::path folder_of(size_t prompt) const {
    return options_.prompts.empty() ? folder_ : folder_ / fmt::format("prompt-{:04}", prompt);
  }

  // A run goes on in the precision and with the cache it began with (f32 where it says nothing); on a GPU
  // also with the wave it chose by the memory that was free then: all of them decide about bits.
  DrawOptions as_begun() {
    DrawOptions options = options_;
    if (!options.resume || !comm_.is_root()) return options;
    size_t first = 0;
    while (failed_.count(first)) ++first;
    const auto begun = rerank::options_of_run(folder_of(first));
    const bool on_gpu = begun.contains("batch");
    check(begun.empty() || on_gpu != models_->device().is_cpu(), ErrorKind::usage,
          "{}: the run began on a {}, whose candidates are not quite the same: resume it there or use "
          "--overwrite",
          folder_.string(), on_gpu ? "GPU" : "CPU");
    if (begun.empty()) return options;
    if (common_.precision == "auto") {
      const auto begun_in =
          precision_from_name(begun.value("precision", name_of(usual_precision(models_->device()))));
      check_precision(begun_in, models_->device());
      models_->set_precision(begun_in);
    }
    if (on_gpu && options.batch == 0) options.batch = begun["batch"];
    if (options.kv_dtype == "auto") options.kv_dtype = begun.value("kv_dtype", "f32");
    return options;
  }

  // What the folder of the run and the memory of rank 0's machine say holds for all.
  void take_choices_of_root() {
    const auto choices = of_root(comm_, {{"wave", plan_.wave},
                                         {"kv_dtype", plan_.kv_dtype},
                                         {"precision", std::string(name_of(models_->precision()))}});
    if (comm_.is_root()) return;
    plan_.wave = choices.at("wave");
    plan_.kv_dtype = choices.at("kv_dtype");
    const auto precision = precision_from_name(choices.at("precision").get<std::string>());
    check_precision(precision, models_->device());
    models_->set_precision(precision);
  }

  int print_plan() const {
    if (common_.json)
      fmt::print("{}\n", json_text(to_json(plan_)));
    else
      fmt::print("{}\n", describe(plan_));
    check_memory(plan_, *models_);
    return 0;
  }

  std::unique_ptr<rerank::CandidateSource> source_of(const std::string& prompt) const {
    const auto options = as_planned(options_, plan_);
    return fitted_ ? fitted_->source(*models_, options, prompt) : models_->source(options, prompt);
  }

  // Names the tokenizers by what they make of the texts: they come from a file, a model or the program
  // itself.
  std::string digest_of_ids(const std::string& prompt) const {
    Json ids = Json::array();
    ids.push_back(models_->text_slots(prompt, options_.truncate));
    ids.push_back(options_.negative.empty() ? models_->empty_slots()
                                            : models_->text_slots(options_.negative, options_.truncate));
    if (models_->has_clip()) ids.push_back(models_->clip_tokenizer().encode(prompt));
    if (models_->has_captioner()) ids.push_back(models_->captioner_tokenizer().encode(prompt));
    const auto text = ids.dump();
    return weights::sha256(std::as_bytes(std::span(text)));
  }

  // Candidates and scores of different models are not to be mixed by --resume.
  Json model_options(const std::string& prompt) const {
    Json options = models_->identity();
    options["tokenizer (ids of the prompt)"] = digest_of_ids(prompt);
    return options;
  }

  rerank::GenerationOptions request_of(const std::string& prompt) const {
    rerank::GenerationOptions request = options_;
    request.prompt = prompt;
    return request;
  }

  // All that decides about the run's files.
  Json deciding_options(const std::string& prompt) const {
    auto options = request_of(prompt).result_options();
    options.update(model_options(prompt));
    if (plan_.on_gpu) options["batch"] = plan_.wave;
    if (plan_.on_gpu || plan_.kv_dtype != "f32") options["kv_dtype"] = plan_.kv_dtype;
    if (given_) options.update(given_->options);
    return options;
  }

  rerank::RunFolder run_folder(const fs::path& folder, const Json& options) const {
    const Json record = {{"version", DALLE1_VERSION},
                         {"command", program_command_line()},
                         {"model", models_->describe()},
                         {"device", models_->device().describe()},
                         {"precision", name_of(models_->precision())},
                         {"threads", models_->device().threads()},
                         {"estimate", to_json(plan_)}};
    // The folder of many prompts has been dealt with as a whole.
    return {folder, options_.resume ? rerank::Existing::resume : rerank::Existing::refuse, options, record};
  }

  rerank::PipelineOptions pipeline_options(const std::string& prompt) {
    rerank::PipelineOptions pipeline;
    pipeline.info = models_->run_info(request_of(prompt));
    pipeline.wave = plan_.wave;
    pipeline.whole_waves = plan_.on_gpu;
    pipeline.judge_of_tokens = models_->judge_of_tokens(pipeline.info.request);
    pipeline.comm = job_comm();
    if (fitted_) fitted_->go_into(pipeline);
    return pipeline;
  }

  void draw_prompt(size_t index) {
    const auto& prompt = prompts_[index];
    const auto folder = folder_of(index);
    const auto source = source_of(prompt);
    const auto scorer = models_->scorer(prompt, options_.truncate);
    const auto pipeline = pipeline_options(prompt);
    const Json deciding = deciding_options(prompt);
    require_equal_jobs(comm_, {{"version", DALLE1_VERSION},
                               {"options", deciding},
                               {"precision", std::string(name_of(models_->precision()))}});
    std::unique_ptr<rerank::RunFolder> run;
    if (comm_.is_root()) run = std::make_unique<rerank::RunFolder>(run_folder(folder, deciding));
    rerank::MemorySink nothing;
    if (!options_.prompts.empty())
      note(fmt::format("prompt {} of {}: {}", index + 1, prompts_.size(), prompt));
    const auto result = [&] {
      ProgressPrinter printer(common_.progress_mode());
      int scored = -1;
      return rerank::run_pipeline(*source, models_->decoder(), *scorer, pipeline,
                                  run ? static_cast<rerank::RunSink&>(*run) : nothing,
                                  [&](const rerank::PipelineProgress& progress) {
                                    const bool begins = scored < 0;
                                    const bool ends = progress.candidates_done == progress.candidates &&
                                                      progress.candidates_done != scored;
                                    printer.update(state_of(progress), begins || ends);
                                    scored = progress.candidates_done;
                                    return !GracefulStop::requested();
                                  });
    }();
    partial_ = partial_ || result.partial;
    candidates_done_ += result.candidates_done;
    if (run) report(prompt, *run, result);
  }

  static ProgressState state_of(const rerank::PipelineProgress& progress) {
    ProgressState state;
    state.stage = name_of(progress.stage);
    state.fraction = progress.tokens > 0 ? static_cast<double>(progress.tokens_done) / progress.tokens : 1.0;
    state.figures = fmt::format("{} tokens/s, {}/{} candidates",
                                grouped(static_cast<int64_t>(progress.tokens_per_second)),
                                progress.candidates_done, progress.candidates);
    if (progress.best_score) state.figures += fmt::format(", best {:.4f}", *progress.best_score);
    state.seconds_left = progress.seconds_left;
    state.event = {{"candidates_done", progress.candidates_done},
                   {"candidates", progress.candidates},
                   {"tokens_done", progress.tokens_done},
                   {"tokens", progress.tokens},
                   {"tokens_per_second", progress.tokens_per_second},
                   {"seconds", progress.seconds}};
    if (progress.best_score) state.event["best_score"] = *progress.best_score;
    return state;
  }

  void report(const std::string& prompt, const rerank::RunFolder& folder,
              const rerank::PipelineResult& result) {
    const auto sheet = result.best.empty() ? std::string() : folder.sheet_path().string();
    Json best = Json::array();
    for (const auto& row : result.best)
      best.push_back({{"rank", row.rank},
                      {"candidate", row.candidate},
                      {"file", row.file},
                      {"score", row.scores.front().second}});
    runs_.push_back({{"prompt", prompt},
                     {"folder", folder.path().string()},
                     {"sheet", sheet},
                     {"partial", result.partial},
                     {"candidates_done", result.candidates_done},
                     {"best", best}});
    if (common_.json || sheet.empty()) return;
    note(fmt::format("{} candidates in {} (sampling {}, decoding {}, scoring {})", result.candidates_done,
                     duration_text(result.seconds.total()), duration_text(result.seconds.sample),
                     duration_text(result.seconds.decode), duration_text(result.seconds.score)));
    fmt::print("{}\n", sheet);
  }

  int finish() const {
    if (common_.json) fmt::print("{}\n", json_text({{"runs", runs_}}));
    if (on_any(comm_, partial_ || GracefulStop::requested()))
      fail(ErrorKind::interrupted,
           "interrupted: {} of {} candidates are complete and ranked in {}; --resume goes on",
           candidates_done_, options_.candidate_indices().size() * prompts_.size(), folder_.string());
    if (!failed_.empty())
      fail(ErrorKind::partial, "{} of {} prompts were not drawn; the first, prompt {}: {}", failed_.size(),
           prompts_.size(), failed_.begin()->first, failed_.begin()->second);
    return 0;
  }

  DrawOptions options_;  // with the model's advice
  std::string advice_;   // what of it was taken
  const CommonOptions& common_;
  Comm& comm_ = *job_comm();
  GracefulStop stop_;
  std::vector<std::string> prompts_;
  fs::path folder_;
  std::optional<FolderLock> lock_;  // of folder_; before anything is loaded where it is there already
  std::optional<rerank::ModelSet> models_;
  std::optional<rerank::GivenPicture> given_;
  std::optional<rerank::FittedPicture> fitted_;
  DrawingPlan plan_;
  std::map<size_t, std::string> failed_;
  Json runs_ = Json::array();
  bool partial_ = false;
  int candidates_done_ = 0;
};

}  // namespace

int draw(const DrawOptions& options, const CommonOptions& common, const PrepareGiven& prepare) {
  check_draw_options(options);
  return Drawing(options, common, prepare).run();
}

std::string sha256_of_input(const std::string& path) {
  check(fs::is_regular_file(path), ErrorKind::input, "{}: there is no such file", path);
  return weights::sha256_of_file(path);
}

}  // namespace dalle1::tools
