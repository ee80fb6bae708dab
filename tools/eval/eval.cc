// dalle1 eval: how often pictures show what their prompt says, what reranking brings, and how good each model
// is alone.
#include <fmt/format.h>

#include <chrono>

#include "core/data/token_shard.h"
#include "core/error.h"
#include "core/image/png.h"
#include "core/io/atomic_file.h"
#include "core/io/text_file.h"
#include "rerank/pipeline.h"
#include "tools/draw/draw.h"
#include "tools/draw/estimate.h"
#include "tools/eval/checker.h"
#include "tools/eval/eval_memory.h"
#include "tools/eval/eval_models.h"
#include "tools/eval/eval_prompts.h"
#include "tools/eval/eval_report.h"
#include "tools/models/transformer_model.h"
#include "tools/program/command.h"
#include "tools/program/interrupt.h"
#include "tools/program/output_folder.h"
#include "tools/program/progress.h"

namespace dalle1::tools {
namespace fs = std::filesystem;
namespace {

using rerank::Json;

struct EvalOptions {
  DrawOptions draw;
  std::string checker;
  std::vector<std::string> kinds;  ///< Empty: all.
  int limit = 0;                   ///< Prompts of each kind; 0: all.
  double max_minutes = 0;          ///< Of drawing; 0: no limit.
  std::string pictures;            ///< Held-out pictures; empty: the models alone are not measured.
  int pictures_limit = 256;
  std::string near_misses;  ///< A training file of CLIP.
  std::string training;     ///< Token shards.
};

class Evaluation {
 public:
  Evaluation(const EvalOptions& options, const CommonOptions& common)
      : options_(options),
        common_(common),
        prompts_(read_eval_prompts(options.draw.prompts, options.kinds, options.limit)) {
    folder_ = options.draw.out;
    if (auto lock = hold_existing_folder(common, folder_)) lock_.emplace(std::move(*lock));
    rerank::check_folder(folder_, options.draw.existing());
    checker_.emplace(std::vector<std::string>{options.checker, "--serve"});
    models_.emplace(open_model_set(common, options.draw.asked_scorer()));
    options_.draw.chosen.insert("prune");  // every picture is judged
    take_advice(options_.draw, models_->sampling_advice());
    for (const auto& prompt : prompts_) models_->text_slots(prompt.prompt, options.draw.truncate);
    if (!options.training.empty()) open_training();
    plan_ = plan_drawing(*models_, options_.draw, static_cast<int>(prompts_.size()));
  }

  int run() {
    ProgressPrinter printer(common_.progress_mode());
    printer.note(describe(plan_));
    check_memory(plan_, *models_);
    models_->load();
    read_pictures();
    if (!lock_) lock_.emplace(hold_output_folder(common_, folder_));
    rerank::check_folder(folder_, options_.draw.existing());
    fs::create_directories(folder_ / "best");
    take_up_verdicts();
    draw(printer);
    return finish(printer);
  }

 private:
  void open_training() {
    training_.emplace(options_.training);
    const auto& info = training_->info();
    check(info.grid == models_->config().grid && info.codes == models_->config().image_vocab,
          ErrorKind::input,
          "{} holds grids of {} with {} codes; this transformer has a grid of {} and {} codes",
          options_.training, info.grid, info.codes, models_->config().grid, models_->config().image_vocab);
  }

  void read_pictures() {
    if (options_.pictures.empty()) return;
    pictures_ = read_held_out(options_.pictures, options_.kinds, options_.pictures_limit,
                              models_->decoder().encoded_size(), data_);
  }

  Json settings() const {
    auto json = options_.draw.result_options();
    json["prompts"] = sha256_of_input(options_.draw.prompts);
    json["kinds"] = options_.kinds;
    json["limit"] = options_.limit;
    json.update(models_->identity());
    const auto kv_dtype = kv_dtype_of(options_.draw.kv_dtype, models_->precision(), models_->device());
    if (kv_dtype != "f32") json["kv_dtype"] = kv_dtype;
    return json;
  }

  // verdicts.jsonl: a line of settings, then one line a prompt, in order. A kill may leave half a line at the
  // end.
  void take_up_verdicts() {
    verdicts_text_ = settings().dump() + "\n";
    const auto path = folder_ / "verdicts.jsonl";
    if (!options_.draw.resume || !fs::exists(path)) return;
    TextLines lines(path);
    std::string line;
    lines.next(line);
    const auto before = Json::parse(line, nullptr, false);
    check(
        before.is_object() && rerank::with_defaults(rerank::by_field_names(before), settings()) == settings(),
        ErrorKind::usage,
        "{} was made with other options, prompts or another model: resume with the same or use --overwrite",
        path.string());
    while (lines.next(line) && lines.ended()) {
      const auto json = Json::parse(line, nullptr, false);
      verdicts_.push_back(verdict_from_json(json, lines.where()));
      verdicts_text_ += line + "\n";
    }
  }

  void draw(ProgressPrinter& printer) {
    const size_t taken_up = verdicts_.size();
    const auto begin = std::chrono::steady_clock::now();
    while (verdicts_.size() < prompts_.size()) {
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
      const auto done = static_cast<double>(verdicts_.size() - taken_up);
      if (done > 0)
        report_progress(printer, seconds / done * static_cast<double>(prompts_.size() - verdicts_.size()));
      if (options_.max_minutes > 0 && seconds > 60 * options_.max_minutes) {
        printer.note("the time is up: --resume goes on");
        return;
      }
      judge(prompts_[verdicts_.size()], printer);
    }
  }

  void check_signal() const {
    check(!GracefulStop::requested(), ErrorKind::interrupted,
          "interrupted: {} of {} prompts are judged; --resume goes on", verdicts_.size(), prompts_.size());
  }

  rerank::GenerationOptions request_of(const EvalPrompt& prompt) const {
    rerank::GenerationOptions request = as_planned(options_.draw, plan_);
    request.prompt = prompt.prompt;
    request.seed += prompt.seed;
    request.keep = static_cast<int>(request.candidate_indices().size());
    return request;
  }

  // Draws one prompt, checks all of its pictures and records the verdict.
  void judge(const EvalPrompt& prompt, ProgressPrinter& printer) {
    rerank::PipelineOptions pipeline;
    pipeline.info = models_->run_info(request_of(prompt));
    pipeline.wave = plan_.wave;
    rerank::RunFolder sink(folder_ / "work", rerank::Existing::overwrite, Json::object());
    const auto source = models_->source(pipeline.info.request, prompt.prompt);
    const auto scorer = models_->scorer(prompt.prompt, options_.draw.truncate);
    const auto result = rerank::run_pipeline(*source, models_->decoder(), *scorer, pipeline, sink,
                                             [](const auto&) { return !GracefulStop::requested(); });
    check_signal();
    PromptVerdict verdict{prompt.prompt, prompt.kind, prompt.held_out, {}, {}, {}, {}};
    bool checked = true;
    for (const auto& row : result.best) {
      const auto picture = fs::absolute(sink.path() / row.file);
      const auto right = checker_->shows(picture, prompt.prompt);
      verdict.candidates.push_back(row.candidate);
      checked = right.has_value();
      if (!checked) break;  // it cannot check such captions, whatever the picture is
      verdict.right.push_back(*right);
      if (!prompt.control.empty())
        verdict.control.push_back(checker_->shows(picture, prompt.control).value_or(false));
    }
    if (!checked) {
      printer.note(fmt::format("the checker knows no such captions: {}", prompt.prompt));
      verdict.right.clear(), verdict.control.clear();
    }
    verdict.best_tokens = rerank::read_results(sink.path() / "results.jsonl").front().tokens;
    keep(std::move(verdict), sink.path() / result.best[0].file);
  }

  void keep(PromptVerdict verdict, const fs::path& best) {
    fs::copy_file(best, folder_ / "best" / fmt::format("{:04}.png", verdicts_.size()),
                  fs::copy_options::overwrite_existing);
    verdicts_text_ += to_json(verdict).dump() + "\n";
    write_file_atomically(folder_ / "verdicts.jsonl", verdicts_text_);
    verdicts_.push_back(std::move(verdict));
  }

  void report_progress(ProgressPrinter& printer, double seconds_left) const {
    int right = 0;
    for (const auto& verdict : verdicts_) right += !verdict.right.empty() && verdict.right.front();
    ProgressState state;
    state.stage = "eval";
    state.fraction = static_cast<double>(verdicts_.size()) / static_cast<double>(prompts_.size());
    state.figures =
        fmt::format("{}/{} prompts, best candidate right in {}", verdicts_.size(), prompts_.size(), right);
    state.seconds_left = seconds_left;
    state.event = {{"prompts_done", verdicts_.size()}, {"prompts", prompts_.size()}, {"right", right}};
    printer.update(state);
  }

  void measure_models(Json& document, ProgressPrinter& printer) {
    if (pictures_.empty()) return;
    printer.note(fmt::format("measuring the models on {} held-out pictures", pictures_.size()));
    document["data"] = data_.json();
    document["dvae"] = measure_dvae(*models_, pictures_);
    check_signal();
    document["transformer"] = measure_transformer(*models_, pictures_);
    check_signal();
    if (models_->has_clip()) document["clip"] = measure_clip(*models_, pictures_, options_.near_misses);
  }

  void measure_memory(Json& document, ProgressPrinter& printer) {
    if (!training_) return;
    printer.note(fmt::format("looking for copies of {} training pictures", training_->size()));
    std::vector<MemoryQuery> drawn, held_out;
    for (const auto& verdict : verdicts_) drawn.push_back({verdict.kind, verdict.best_tokens});
    for (const auto& picture : pictures_) held_out.push_back({picture.kind, picture.tokens});
    auto nearest = nearest_by_tokens(*training_, drawn);
    auto& memory = document["memory"];
    memory = tools::measure_memory(drawn, nearest, held_out, nearest_by_tokens(*training_, held_out));
    memory["training_pictures"] = training_->size();
    write_png(folder_ / "memory.png", memory_sheet(*models_, *training_, drawn, nearest, [](double share) {
                return fmt::format("{:.1f}% differ", 100 * share);
              }));
    check_signal();
    const auto& config = models_->config();
    const CodeColours colours(models_->decoder(), config.grid, config.image_vocab);
    const auto by_colours = [&](const std::vector<MemoryQuery>& queries) {
      return nearest_by_colours(*training_, colours, models_->device(), queries);
    };
    nearest = by_colours(drawn);
    memory["colours"] = tools::measure_memory(drawn, nearest, held_out, by_colours(held_out));
    write_png(folder_ / "memory_colours.png",
              memory_sheet(*models_, *training_, drawn, nearest,
                           [](double levels) { return fmt::format("{:.1f} levels", levels); }));
  }

  int finish(ProgressPrinter& printer) {
    check(!verdicts_.empty(), ErrorKind::input, "no prompt was judged in {} minutes", options_.max_minutes);
    const auto report = summarise(verdicts_);
    Json document = {{"format", 1},
                     {"version", DALLE1_VERSION},
                     {"command", program_command_line()},
                     {"model", models_->describe()},
                     {"device", models_->device().describe()},
                     {"options", settings()},
                     {"prompts", prompts_.size()},
                     {"drawn", verdicts_.size()}};
    document.update(to_json(report));
    measure_models(document, printer);
    measure_memory(document, printer);
    write_file_atomically(folder_ / "report.json", document.dump(2) + "\n");
    write_file_atomically(folder_ / "report.md", to_markdown(document));
    write_file_atomically(folder_ / "reranking.svg", to_svg(report));
    std::error_code ignored;  // leftovers of the last prompt are not worth a failed evaluation
    fs::remove_all(folder_ / "work", ignored);
    if (common_.json)
      fmt::print("{}\n", json_text(document));
    else
      fmt::print("{}", to_markdown(document));
    return 0;
  }

  EvalOptions options_;
  const CommonOptions& common_;
  GracefulStop stop_;
  std::vector<EvalPrompt> prompts_;
  fs::path folder_;
  std::optional<FolderLock> lock_;  // of folder_; before anything is loaded where it is there already
  std::optional<Checker> checker_;
  std::optional<rerank::ModelSet> models_;
  std::optional<TokenShards> training_;
  std::vector<HeldOutPicture> pictures_;
  DataReport data_{common_};
  DrawingPlan plan_;
  std::vector<PromptVerdict> verdicts_;  // of the first prompts
  std::string verdicts_text_;
};

void add_drawing_options(CLI::App& app, DrawOptions& draw) {
  draw.candidates = 64;
  app.add_option("--candidates", draw.candidates, "Pictures a prompt")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--out", draw.out, "Output folder")->required();
  app.add_option("--seed", draw.seed, "Another seed, other pictures; 0 to 2^64 - 1")->capture_default_str();
  add_advised_options(app, draw);
  app.add_option("--batch", draw.batch, "Candidates decoded together; automatic by default")
      ->check(CLI::Range(1, 4096));
  auto* resume = app.add_flag("--resume", draw.resume, "Go on with the evaluation in the output folder");
  app.add_flag("--overwrite", draw.overwrite, "Start again in a used output folder")->excludes(resume);
}

void add_eval_options(CLI::App& app, EvalOptions& options) {
  app.add_option("--prompts", options.draw.prompts,
                 "JSON lines with prompt, kind, held_out, and control: a caption not to show")
      ->required();
  app.add_option("--checker", options.checker,
                 "A program that answers {\"image\", \"caption\"} with {\"right\"}")
      ->required();
  app.add_option("--kinds", options.kinds, "Only prompts and pictures of these kinds: shape,count")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("--limit", options.limit, "At most so many prompts of each kind, held-out ones apart")
      ->check(CLI::Range(1, 1000000));
  app.add_option("--max-minutes", options.max_minutes,
                 "Stop drawing after so long and report what there is; kinds take turns")
      ->check(CLI::NonNegativeNumber);
  auto* pictures =
      app.add_option("--pictures", options.pictures,
                     "Held-out pictures with captions.jsonl: measures dVAE, CLIP and transformer alone");
  app.add_option("--pictures-limit", options.pictures_limit, "At most so many of them")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  app.add_option("--near-misses", options.near_misses,
                 "A training file of CLIP, whose word classes make near-miss captions")
      ->needs(pictures);
  app.add_option("--training", options.training, "Token shards of the training: looks for copies in them");
  add_drawing_options(app, options.draw);
}

}  // namespace

Command eval_command() {
  return {"eval", "How often pictures show their prompt, what reranking brings, how good each model is",
          "dalle1 eval --prompts data/prompts_test.jsonl --checker tools/data/check --pictures data/val "
          "--candidates 64 --out eval",
          [](CLI::App& app, CommonOptions& common) {
            auto options = std::make_shared<EvalOptions>();
            add_eval_options(app, *options);
            add_model_options(app, common);
            return [options, &common] { return Evaluation(*options, common).run(); };
          }};
}

}  // namespace dalle1::tools
