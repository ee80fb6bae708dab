#include "tools/study/ablate_run.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numbers>
#include <numeric>

#include "core/io/atomic_file.h"
#include "core/io/text_file.h"
#include "tools/train/training.h"
#include "transformer/decoder.h"
#include "weights/load.h"
#include "weights/open.h"

namespace dalle1::tools {
namespace fs = std::filesystem;
namespace {

using nlohmann::json;

constexpr const char* kResult = "result.json";
constexpr const char* kWeights = "transformer.safetensors";

json settings_of(const Study& study, const StudyRun& run, const AblationInputs& inputs) {
  const StudySamples& samples = study.samples;
  return {{"architecture", transformer::to_json(study.variants[run.variant].config)},
          {"train", study.train_of(run)},
          {"inputs", inputs.identity},
          {"samples",
           {{"prompts", samples.prompts},
            {"candidates", samples.candidates},
            {"seed", samples.seed},
            {"temperature", samples.temperature},
            {"top_p", samples.top_p}}}};
}

// Sums of nats become bits per token.
class PartsSum {
 public:
  explicit PartsSum(int32_t grid) : grid_(grid), rows_(grid), counts_(grid) {}

  void add(const std::vector<TokenRecord>& samples, const transformer::Loss& loss) {
    const size_t targets = loss.image_targets.size() / samples.size();
    const size_t skipped = size_t(grid_) * grid_ - targets;
    for (size_t b = 0; b < samples.size(); ++b) {
      const auto& tokens = samples[b].tokens;
      for (size_t cell = skipped; cell < tokens.size(); ++cell) {
        const double nats = loss.image_targets[b * targets + cell - skipped];
        rows_[cell / grid_] += nats;
        counts_[cell / grid_] += 1;
        const bool left = cell % grid_ > 0 && tokens[cell - 1] == tokens[cell];
        const bool above = cell >= size_t(grid_) && tokens[cell - grid_] == tokens[cell];
        kinds_[left || above] += nats;
        kind_counts_[left || above] += 1;
      }
    }
  }

  ImageParts bits() const {
    const auto mean = [](double sum, double count) { return sum / std::max(count, 1.0) / std::numbers::ln2; };
    ImageParts parts;
    for (size_t row = 0; row < rows_.size(); ++row) parts.rows.push_back(mean(rows_[row], counts_[row]));
    parts.edge = mean(kinds_[0], kind_counts_[0]);
    parts.flat = mean(kinds_[1], kind_counts_[1]);
    parts.flat_share = kind_counts_[1] / std::max(kind_counts_[0] + kind_counts_[1], 1.0);
    return parts;
  }

 private:
  size_t grid_;
  std::vector<double> rows_, counts_;
  double kinds_[2] = {}, kind_counts_[2] = {};  // edge, flat
};

struct Sampled {
  std::vector<std::vector<int32_t>> tokens;
  double tokens_per_second = 0;
  int64_t cache_bytes = 0;
};

// The same prompts and seeds for every variant; without prompts an empty one is decoded for its speed alone.
Sampled sample(const transformer::Transformer& model, const text::Tokenizer& tokenizer,
               const StudySamples& options) {
  const auto& config = model.config();
  const text::SpecialIds special = tokenizer.special();
  const transformer::TextSlots slots = {special.bos, special.eos, /*truncate=*/true};
  std::vector<uint32_t> candidates(options.candidates);
  std::iota(candidates.begin(), candidates.end(), 0u);
  Context context(model.device());
  Sampled result;
  double seconds = 0;
  const size_t prompts = std::max<size_t>(options.prompts.size(), 1);
  for (size_t prompt = 0; prompt < prompts; ++prompt) {
    transformer::DecodeRequest request;
    request.text = options.prompts.empty() ? transformer::empty_text_slots(config, slots)
                                           : transformer::fill_text_slots(
                                                 config, tokenizer.encode(options.prompts[prompt]), slots);
    request.sampling.rule.temperature = options.temperature;
    request.sampling.rule.top_p = options.top_p;
    request.sampling.seed = options.seed + prompt;
    const auto start = std::chrono::steady_clock::now();
    transformer::Decoder decoder(context, model, request);
    const auto decoded = decoder.decode(candidates);
    seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    result.cache_bytes = static_cast<int64_t>(decoder.cache_use().bytes) / options.candidates;
    if (options.prompts.empty()) continue;
    for (size_t n = 0; n < candidates.size(); ++n) {
      const auto first = decoded.tokens.begin() + static_cast<int64_t>(n) * config.cells();
      result.tokens.emplace_back(first, first + config.cells());
    }
  }
  result.tokens_per_second =
      static_cast<double>(prompts * candidates.size()) * config.cells() / std::max(seconds, 1e-9);
  return result;
}

// From the median of the logged seconds of a step.
double training_speed(const std::vector<json>& rows, const Study& study, const StudyRun& run) {
  const auto options = train_options_of(study, run);
  const auto training = training_of(study, run);
  const auto& config = study.variants[run.variant].config;
  const double last_of_first_part = training.full_text_from * static_cast<double>(options.steps);
  std::vector<double> seconds;
  for (const json& row : rows)
    if (row["step"].get<double>() < last_of_first_part) seconds.push_back(row.value("seconds_per_step", 0.0));
  if (seconds.empty()) return 0;
  std::nth_element(seconds.begin(), seconds.begin() + std::ssize(seconds) / 2, seconds.end());
  const double median = seconds[seconds.size() / 2];
  const double tokens =
      static_cast<double>(training.batch) * options.accumulate * (training.text_slots + config.cells());
  return median > 0 ? tokens / median : 0;
}

// What is kept of a trained model; Diverged when its held-out loss is no number.
json results_of(const transformer::Transformer& model, const transformer::TransformerTask& task,
                const AblationInputs& inputs, const Study& study) {
  PartsSum sum(model.config().grid);
  task.visit_held_out([&](const auto& samples, const transformer::Loss& loss) { sum.add(samples, loss); });
  const ImageParts parts = sum.bits();
  if (!std::isfinite(parts.edge + parts.flat))
    throw Diverged(study.train["steps"].get<int64_t>() - 1, "the held-out loss is not finite");
  const Sampled sampled = sample(model, inputs.tokenizer, study.samples);
  return {
      {"image_parts",
       {{"rows", parts.rows}, {"flat", parts.flat}, {"edge", parts.edge}, {"flat_share", parts.flat_share}}},
      {"decode_tokens_per_second", sampled.tokens_per_second},
      {"cache_bytes", sampled.cache_bytes},
      {"samples", sampled.tokens}};
}

}  // namespace

std::optional<RunRecord> read_run(const Study& study, const StudyRun& run, const AblationInputs& inputs,
                                  const fs::path& folder) {
  if (!fs::exists(folder / kResult)) return std::nullopt;
  try {
    const json result = json::parse(read_text(folder / kResult));
    check(result.at("settings") == settings_of(study, run, inputs), ErrorKind::usage,
          "{} is a run with other settings; restore the study, or choose another --out", folder.string());
    RunRecord record;
    record.run = run;
    const auto rows = read_metrics(folder / "metrics.jsonl");
    for (const json& row : rows) {
      if (!row.contains("validation_image_bits")) continue;
      if (!row["validation_image_bits"].is_number() || !row["validation_text_bits"].is_number()) continue;
      record.curve.push_back({row["step"].get<int64_t>() + 1, row["validation_text_bits"].get<double>(),
                              row["validation_image_bits"].get<double>()});
    }
    if (result.contains("diverged_after")) {
      record.diverged = result["diverged_after"].get<int64_t>();
      return record;
    }
    check(!record.curve.empty(), ErrorKind::input, "{}: metrics.jsonl has no evaluation", folder.string());
    const json& parts = result.at("image_parts");
    record.parts = {parts.at("rows").get<std::vector<double>>(), parts.at("flat").get<double>(),
                    parts.at("edge").get<double>(), parts.at("flat_share").get<double>()};
    record.training_tokens_per_second = training_speed(rows, study, run);
    record.decode_tokens_per_second = result.at("decode_tokens_per_second").get<double>();
    record.cache_bytes = result.at("cache_bytes").get<int64_t>();
    record.samples = result.at("samples").get<std::vector<std::vector<int32_t>>>();
    return record;
  } catch (const json::exception& error) {
    fail(ErrorKind::input, "{}: {}; remove this folder and it is made again", (folder / kResult).string(),
         error.what());
  }
}

bool perform_run(const Study& study, const StudyRun& run, const AblationInputs& inputs,
                 const fs::path& folder, const CommonOptions& common) {
  const auto& config = study.variants[run.variant].config;
  const TrainOptions options = train_options_of(study, run);
  transformer::Transformer model(inputs.device, config, training_precision(options, inputs.device));
  model.initialise(run.seed);
  TrainingOptions training;
  training.out = folder.string();
  training.resume = true;
  training.tensorboard = inputs.tensorboard;
  const json settings = settings_of(study, run, inputs);
  const TrainRun train_run = make_train_run(training, common, settings);
  transformer::TransformerTask task(
      model, inputs.shards, inputs.tokenizer, training_of(study, run), options, [&](const fs::path& out) {
        fs::create_directories(out);
        weights::save_parameters(model, out / kWeights, "transformer", transformer::to_json(config));
      });
  json result = {{"settings", settings}};
  try {
    if (!train(inputs.device, task, options, train_run).finished) return false;
    // The averaged parameters, as they were evaluated.
    weights::load_parameters(
        model, weights::open_checkpoint({(folder / "model" / kWeights).string()}, nullptr, "transformer"));
    model.prepare();
    result.update(results_of(model, task, inputs, study));
  } catch (const Diverged& error) {
    result["diverged_after"] = error.step() + 1;
  }
  write_file_atomically(folder / kResult, result.dump() + "\n");
  fs::remove_all(folder / "checkpoints");  // a finished run is not resumed
  return true;
}

}  // namespace dalle1::tools
