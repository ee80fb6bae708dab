// dalle1 eval: how often pictures show what their prompt says, and what reranking brings.
#include <fmt/format.h>

#include <fstream>

#include "core/data/atomic_file.h"
#include "core/error.h"
#include "tools/checker.h"
#include "tools/command.h"
#include "tools/draw.h"
#include "tools/estimate.h"
#include "tools/eval_report.h"
#include "tools/interrupt.h"
#include "tools/progress.h"

namespace dalle1::tools {
namespace fs = std::filesystem;
namespace {

using rerank::Json;

struct EvalPrompt {
  std::string prompt, kind, control;
  bool held_out = false;
};

struct EvalOptions {
  DrawOptions draw;
  std::string checker;
  int limit = 0;  ///< Prompts of each kind; 0: all.
};

std::vector<EvalPrompt> read_eval_prompts(const std::string& path, int limit) {
  std::ifstream file(path, std::ios::binary);
  check(file.good(), ErrorKind::input, "{}: cannot be read", path);
  std::vector<EvalPrompt> prompts;
  std::map<std::pair<std::string, bool>, int> counts;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    if (line.empty()) continue;
    const auto json = Json::parse(line, nullptr, false);
    const bool usable = json.is_object() && json.contains("prompt") && json["prompt"].is_string();
    check(usable, ErrorKind::input, "{} line {}: no JSON object with a \"prompt\"", path, number);
    EvalPrompt prompt{json["prompt"].get<std::string>(), json.value("kind", std::string("prompts")),
                      json.value("control", std::string()), json.value("held_out", false)};
    if (limit == 0 || counts[{prompt.kind, prompt.held_out}]++ < limit) prompts.push_back(std::move(prompt));
  }
  check(!prompts.empty(), ErrorKind::input, "{}: no prompts in it", path);
  return prompts;
}

class Evaluation {
 public:
  Evaluation(const EvalOptions& options, const CommonOptions& common)
      : options_(options), common_(common), prompts_(read_eval_prompts(options.draw.prompts, options.limit)) {
    folder_ = options.draw.out;
    rerank::check_folder(folder_, options.draw.existing());
    checker_.emplace(std::vector<std::string>{options.checker, "--serve"});
    studio_.emplace(common, options.draw.scorer);
    for (const auto& prompt : prompts_) studio_->text_slots(prompt.prompt, options.draw.truncate);
    plan_ = plan_drawing(*studio_, options.draw, static_cast<int>(prompts_.size()));
  }

  int run() {
    ProgressPrinter printer(common_.progress_mode());
    printer.note(describe(plan_));
    check_memory(plan_, *studio_);
    studio_->load();
    fs::create_directories(folder_ / "best");
    take_up_verdicts();
    const size_t taken_up = next_;
    const auto begin = std::chrono::steady_clock::now();
    for (; next_ < prompts_.size() && !GracefulStop::requested(); ++next_) {
      if (!judge(prompts_[next_], printer)) break;
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
      const auto done = static_cast<double>(next_ + 1 - taken_up);
      report_progress(printer, seconds / done * static_cast<double>(prompts_.size() - next_ - 1));
    }
    return finish();
  }

 private:
  Json settings() const {
    auto json = options_.draw.result_options();
    json["--prompts"] = sha256_of_input(options_.draw.prompts);
    json["--limit"] = options_.limit;
    json["--transformer (sha256)"] = studio_->transformer_sha256();
    return json;
  }

  // verdicts.jsonl: a line of settings, then one line a prompt, in order. A kill may leave half a line at the
  // end.
  void take_up_verdicts() {
    verdicts_text_ = settings().dump() + "\n";
    const auto path = folder_ / "verdicts.jsonl";
    if (!options_.draw.resume || !fs::exists(path)) return;
    std::ifstream file(path, std::ios::binary);
    std::string line;
    std::getline(file, line);
    check(line + "\n" == verdicts_text_, ErrorKind::usage,
          "{} was made with other options, prompts or another model: resume with the same or use --overwrite",
          path.string());
    for (int number = 2; std::getline(file, line) && !file.eof(); ++number, ++next_) {
      const auto json = Json::parse(line, nullptr, false);
      if (!json.contains("unchecked"))
        verdicts_.push_back(verdict_from_json(json, fmt::format("{} line {}", path.string(), number)));
      verdicts_text_ += line + "\n";
    }
  }

  // Draws one prompt, checks all of its pictures and records the verdict; false when a signal came in
  // between.
  bool judge(const EvalPrompt& prompt, ProgressPrinter& printer) {
    rerank::PipelineOptions pipeline;
    pipeline.folder = folder_ / "work";
    pipeline.existing = rerank::Existing::overwrite;
    pipeline.candidates = options_.draw.candidate_indices();
    pipeline.keep = static_cast<int>(pipeline.candidates.size());
    pipeline.wave = plan_.wave;
    pipeline.info.prompt = prompt.prompt;
    pipeline.info.seed = options_.draw.seed;
    const auto source = studio_->source(options_.draw, prompt.prompt);
    const auto scorer = studio_->scorer(prompt.prompt, options_.draw.truncate);
    const auto result = rerank::run_pipeline(*source, studio_->decoder(), *scorer, pipeline,
                                             [](const auto&) { return !GracefulStop::requested(); });
    if (result.partial) return false;
    PromptVerdict verdict{prompt.prompt, prompt.kind, prompt.held_out, {}, {}, {}};
    bool checked = true;
    for (const auto& row : result.best) {
      const auto picture = fs::absolute(pipeline.folder / row.file);
      const auto right = checker_->shows(picture, prompt.prompt);
      checked = checked && right.has_value();
      verdict.candidates.push_back(row.candidate);
      verdict.right.push_back(right.value_or(false));
      if (!prompt.control.empty())
        verdict.control.push_back(checker_->shows(picture, prompt.control).value_or(false));
    }
    if (!checked) printer.note(fmt::format("the checker knows no such captions: {}", prompt.prompt));
    verdicts_text_ +=
        (checked ? to_json(verdict) : Json{{"prompt", prompt.prompt}, {"unchecked", true}}).dump() + "\n";
    write_file_atomically(folder_ / "verdicts.jsonl", verdicts_text_);
    fs::copy_file(pipeline.folder / result.best[0].file, folder_ / "best" / fmt::format("{:04}.png", next_),
                  fs::copy_options::overwrite_existing);
    if (checked) verdicts_.push_back(std::move(verdict));
    return true;
  }

  void report_progress(ProgressPrinter& printer, double seconds_left) const {
    int right = 0;
    for (const auto& verdict : verdicts_) right += verdict.right.front();
    ProgressState state;
    state.stage = "eval";
    state.fraction = static_cast<double>(next_ + 1) / static_cast<double>(prompts_.size());
    state.figures =
        fmt::format("{}/{} prompts, best candidate right in {}", next_ + 1, prompts_.size(), right);
    state.seconds_left = seconds_left;
    state.event = {{"prompts_done", next_ + 1}, {"prompts", prompts_.size()}, {"right", right}};
    printer.update(state);
  }

  int finish() {
    check(next_ == prompts_.size(), ErrorKind::interrupted,
          "interrupted: {} of {} prompts are judged; --resume goes on", next_, prompts_.size());
    check(!verdicts_.empty(), ErrorKind::input, "the checker could judge none of the {} prompts",
          prompts_.size());
    const auto report = summarise(verdicts_);
    Json document = {{"format", 1},
                     {"version", DALLE1_VERSION},
                     {"command", program_command_line()},
                     {"model", studio_->describe()},
                     {"device", studio_->device().describe()},
                     {"options", settings()},
                     {"prompts", prompts_.size()},
                     {"judged", verdicts_.size()}};
    document.update(to_json(report));
    write_file_atomically(folder_ / "report.json", document.dump(2) + "\n");
    write_file_atomically(folder_ / "reranking.svg", to_svg(report));
    std::error_code ignored;  // leftovers of the last prompt are not worth a failed evaluation
    fs::remove_all(folder_ / "work", ignored);
    if (common_.json)
      fmt::print("{}\n", document.dump(2));
    else
      fmt::print("{}", to_table(report));
    return 0;
  }

  const EvalOptions& options_;
  const CommonOptions& common_;
  GracefulStop stop_;
  std::vector<EvalPrompt> prompts_;
  fs::path folder_;
  std::optional<Checker> checker_;
  std::optional<Studio> studio_;
  DrawingPlan plan_;
  std::vector<PromptVerdict> verdicts_;
  std::string verdicts_text_;
  size_t next_ = 0;  // the next prompt to judge
};

void add_eval_options(CLI::App& app, EvalOptions& options) {
  auto& draw = options.draw;
  draw.candidates = 64;
  app.add_option("--prompts", draw.prompts,
                 "JSON lines with prompt, kind, held_out, and control: a caption not to show")
      ->required();
  app.add_option("--candidates", draw.candidates, "Pictures a prompt")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--out", draw.out, "Output folder")->required();
  app.add_option("--checker", options.checker,
                 "A program that answers {\"image\", \"caption\"} with {\"right\"}")
      ->required();
  app.add_option("--limit", options.limit, "At most so many prompts of each kind")
      ->check(CLI::Range(1, 1000000));
  app.add_option("--seed", draw.seed, "Another seed, other pictures")->capture_default_str();
  app.add_option("--temperature", draw.temperature)->check(CLI::Range(0.0, 100.0))->capture_default_str();
  app.add_option("--top-k", draw.top_k)->check(CLI::Range(0, 1 << 24))->capture_default_str();
  app.add_option("--top-p", draw.top_p)->check(CLI::Range(0.0, 1.0))->capture_default_str();
  app.add_option("--guidance", draw.guidance)->check(CLI::Range(0.0, 100.0))->capture_default_str();
  app.add_option("--scorer", draw.scorer, "As in sample (default: clip)");
  app.add_option("--batch", draw.batch, "Candidates decoded together; automatic by default")
      ->check(CLI::Range(1, 4096));
  auto* resume = app.add_flag("--resume", draw.resume, "Go on with the evaluation in the output folder");
  app.add_flag("--overwrite", draw.overwrite, "Start again in a used output folder")->excludes(resume);
}

}  // namespace

Command eval_command() {
  return {"eval", "How often pictures show their prompt, and what reranking brings",
          "dalle1 eval --prompts prompts_test.jsonl --candidates 64 --checker tools/data/check --out eval",
          [](CLI::App& app, CommonOptions& common) {
            auto options = std::make_shared<EvalOptions>();
            add_eval_options(app, *options);
            add_model_options(app, common);
            return [options, &common] { return Evaluation(*options, common).run(); };
          }};
}

}  // namespace dalle1::tools
