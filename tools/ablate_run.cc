#include "tools/ablate_run.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <numeric>

#include "core/data/atomic_file.h"
#include "tools/training.h"
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
    const auto decoded = decoder.decode(context, candidates);
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

// From the logged seconds of a step, without the rows whose time has an evaluation in it.
double training_speed(const std::vector<json>& rows, const Study& study, const StudyRun& run) {
  const auto options = train_options_of(study, run);
  const auto training = training_of(study, run);
  const auto& config = study.variants[run.variant].config;
  const double last_of_first_part = training.full_text_from * static_cast<double>(options.steps);
  std::vector<double> seconds;
  for (const json& row : rows) {
    const bool evaluated = row.contains("validation_image_bits");
    if (!evaluated && row["step"].get<double>() < last_of_first_part)
      seconds.push_back(row.value("seconds_per_step", 0.0));
  }
  if (seconds.empty()) return 0;
  std::nth_element(seconds.begin(), seconds.begin() + std::ssize(seconds) / 2, seconds.end());
  const double median = seconds[seconds.size() / 2];
  const double tokens =
      static_cast<double>(training.batch) * options.accumulate * (training.text_slots + config.cells());
  return median > 0 ? tokens / median : 0;
}

}  // namespace

std::optional<RunRecord> read_run(const Study& study, const StudyRun& run, const AblationInputs& inputs,
                                  const fs::path& folder) {
  std::ifstream in(folder / kResult);
  if (!in.good()) return std::nullopt;
  try {
    const json result = json::parse(in);
    check(result.at("settings") == settings_of(study, run, inputs), ErrorKind::usage,
          "{} is a run with other settings; restore the study, or choose another --out", folder.string());
    RunRecord record;
    record.run = run;
    const auto rows = read_metrics(folder / "metrics.jsonl");
    for (const json& row : rows) {
      if (!row.contains("validation_image_bits")) continue;
      record.curve.push_back({row["step"].get<int64_t>() + 1, row["validation_text_bits"].get<double>(),
                              row["validation_image_bits"].get<double>()});
    }
    check(!record.curve.empty(), ErrorKind::input, "{}: metrics.jsonl has no evaluation", folder.string());
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
  transformer::Transformer model(inputs.device, config);
  model.initialise(run.seed);
  const TrainOptions options = train_options_of(study, run);
  TrainingOptions training;
  training.out = folder.string();
  training.resume = true;
  const json settings = settings_of(study, run, inputs);
  const TrainRun train_run = make_train_run(training, common, settings);
  transformer::TransformerTask task(
      model, inputs.shards, inputs.tokenizer, training_of(study, run), options, [&](const fs::path& out) {
        fs::create_directories(out);
        weights::save_parameters(model, out / kWeights, "transformer", transformer::to_json(config));
      });
  if (!train(inputs.device, task, options, train_run).finished) return false;

  // The averaged parameters, as they were evaluated.
  weights::load_parameters(
      model, weights::open_checkpoint({(folder / "model" / kWeights).string()}, nullptr, "transformer"));
  const Sampled sampled = sample(model, inputs.tokenizer, study.samples);
  const json result = {{"settings", settings},
                       {"decode_tokens_per_second", sampled.tokens_per_second},
                       {"cache_bytes", sampled.cache_bytes},
                       {"samples", sampled.tokens}};
  write_file_atomically(folder / kResult, result.dump() + "\n");
  fs::remove_all(folder / "checkpoints");  // a finished run is not resumed
  return true;
}

}  // namespace dalle1::tools
