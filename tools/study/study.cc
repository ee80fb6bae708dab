#include "tools/study/study.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <set>

#include "core/io/text_file.h"
#include "core/json.h"

namespace dalle1::tools {
namespace fs = std::filesystem;
namespace {

using nlohmann::json;

// The file as it is written.
struct Document {
  json base, train, variants;
  std::string base_variant;
  std::vector<uint64_t> seeds;
  std::vector<double> learning_rates;
  StudySamples samples;

  static void visit(auto& self, auto& field) {
    field("base", self.base, config::required());
    field("train", self.train, config::required());
    field("variants", self.variants, config::required());
    field("base_variant", self.base_variant, config::required());
    field("seeds", self.seeds, config::required());
    field("learning_rates", self.learning_rates, {.range = {.low = 0, .above = true}, .required = true});
    field("samples", self.samples);
  }
};

struct VariantEntry {
  std::string name;
  json schedule;

  static void visit(auto& self, auto& field) {
    field("name", self.name, config::required());
    field("schedule", self.schedule, config::required());
  }
};

std::string with_folder(const std::string& entry, const fs::path& folder) {
  const std::string prefix = "table:";
  if (entry.rfind(prefix, 0) != 0) return entry;
  const fs::path file = entry.substr(prefix.size());
  return prefix + (file.is_absolute() ? file : folder / file).string();
}

// All spellings of a schedule as the configuration's own.
json full_schedule(const json& schedule, int64_t layers, const fs::path& folder) {
  json full = schedule;
  if (schedule.is_string()) {
    static const std::set<std::string> kinds = {"paper", "rudalle", "dense", "row", "column", "conv"};
    const auto text = schedule.get<std::string>();
    full = kinds.count(text) ? json{{"kind", text}}
                             : json{{"kind", "list"}, {"list", json(static_cast<size_t>(layers), schedule)}};
  } else if (schedule.is_array()) {
    full = {{"kind", "list"}, {"list", schedule}};
  }
  check(full.is_object(), ErrorKind::input, "'schedule' must be a text, a list or an object");
  if (full.contains("list") && full["list"].is_array()) {
    for (json& entry : full["list"])
      if (entry.is_string()) entry = with_folder(entry.get<std::string>(), folder);
  }
  return full;
}

StudyVariant read_variant(const VariantEntry& entry, const json& base, const fs::path& folder) {
  const bool printable =
      std::all_of(entry.name.begin(), entry.name.end(), [](unsigned char c) { return c >= 32 && c != 127; });
  check(!entry.name.empty() && entry.name.size() <= 60 && printable, ErrorKind::input,
        "the name of a variant must be 1 to 60 printable characters");
  try {
    json architecture = base;
    const int64_t layers = transformer::config_from_json(base).layers;
    architecture["schedule"] = full_schedule(entry.schedule, layers, folder);
    return {entry.name, transformer::config_from_json(architecture)};
  } catch (const Error& error) {
    fail(ErrorKind::input, "variant '{}': {}", entry.name, error);
  }
}

// A folder's name: what is not a letter, digit, dot or line becomes a line.
std::string file_name(std::string name) {
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '_') c = '-';
  return name;
}

void read_variants(const Document& document, const fs::path& folder, Study& study) {
  const json& variants = document.variants;
  check(variants.is_array() && !variants.empty() && variants.size() <= 64, ErrorKind::input,
        "'variants' must be a list of 1 to 64");
  std::set<std::string> names;
  for (size_t i = 0; i < variants.size(); ++i) {
    VariantEntry entry;
    config::read(variants[i], entry, {ErrorKind::input, fmt::format("variants[{}]", i)});
    study.variants.push_back(read_variant(entry, document.base, folder));
    check(names.insert(file_name(entry.name)).second, ErrorKind::input, "two variants are named '{}'",
          entry.name);
  }
  const auto found =
      std::find_if(study.variants.begin(), study.variants.end(),
                   [&](const StudyVariant& variant) { return variant.name == document.base_variant; });
  check(found != study.variants.end(), ErrorKind::input, "base_variant '{}' is no variant",
        document.base_variant);
  study.base_variant = static_cast<size_t>(found - study.variants.begin());
}

template <typename Value>
void check_list(const std::vector<Value>& values, const char* name) {
  check(!values.empty() && values.size() <= 1000, ErrorKind::input, "'{}' must be a list of at least one",
        name);
  check(std::set<Value>(values.begin(), values.end()).size() == values.size(), ErrorKind::input,
        "'{}' has a value twice", name);
}

// Text slots and grid cells of all samples of this many steps; the text grows after full_text_from.
int64_t tokens_of(const Study& study, int64_t steps) {
  const auto& config = study.variants.front().config;
  const auto training = transformer::transformer_training_from_json(study.train, config);
  const auto short_steps =
      static_cast<int64_t>(std::ceil(std::min(1.0, training.full_text_from) * static_cast<double>(steps)));
  const int64_t slots = short_steps * training.text_slots + (steps - short_steps) * config.text_length;
  const auto accumulate = value_or(study.train, "accumulate", int64_t{1}, ErrorKind::input, "train.");
  return training.batch * accumulate * (slots + steps * config.cells());
}

// A budget becomes the most steps that it pays for.
void resolve_budget(Study& study) {
  check(study.train.is_object(), ErrorKind::input, "'train' must be an object");
  check(study.train.contains("steps") != study.train.contains("tokens"), ErrorKind::input,
        "'train' must give either 'steps' or a budget of 'tokens'");
  if (study.train.contains("steps")) return;
  const auto budget = value_of<int64_t>(study.train["tokens"], "train.tokens");
  check(budget > 0, ErrorKind::input, "'train.tokens' is {}; it must be positive", budget);
  const int64_t one = tokens_of(study, 1);
  check(one > 0 && budget >= one, ErrorKind::input, "'train.tokens' is {}; one step alone takes {}", budget,
        one);
  int64_t low = 1, high = budget / one + 1;  // a step never takes fewer tokens than the first
  while (low < high) {
    const int64_t middle = low + (high - low + 1) / 2;
    if (tokens_of(study, middle) <= budget)
      low = middle;
    else
      high = middle - 1;
  }
  study.train.erase("tokens");
  study.train["steps"] = low;
}

void check_train(const Study& study) {
  check(!study.train.contains("seed"), ErrorKind::input, "'train.seed': give 'seeds' beside 'train' instead");
  const bool plain =
      study.train.contains("learning_rate") &&
      (!study.train["learning_rate"].is_object() || study.train["learning_rate"].contains("first"));
  check(!plain, ErrorKind::input,
        "'train.learning_rate' gives the shape alone (an object without 'first'); the values stand in "
        "'learning_rates'");
  for (const StudyRun& run : study.runs()) {
    const TrainOptions options = train_options_of(study, run);
    training_of(study, run);
    check(options.evaluate_every % options.log_every == 0, ErrorKind::input,
          "'train': evaluate_every ({}) must be a multiple of log_every ({})", options.evaluate_every,
          options.log_every);
  }
  check(training_of(study, study.runs().front()).validation > 0, ErrorKind::input,
        "'train.validation' must be positive: variants are compared on held-out samples");
}

}  // namespace

void StudySamples::visit(auto& self, auto& field) {
  field("prompts", self.prompts);
  field("candidates", self.candidates, config::within(1, 64));
  field("seed", self.seed);
  field("temperature", self.temperature, config::at_least(0));
  field("top_p", self.top_p, config::above(0, 1));
}

std::vector<StudyRun> Study::runs() const {
  std::vector<StudyRun> all;
  for (uint64_t seed : seeds)
    for (double rate : learning_rates)
      for (size_t variant = 0; variant < variants.size(); ++variant) all.push_back({variant, rate, seed});
  return all;
}

json Study::train_of(const StudyRun& run) const {
  json result = train;
  result["seed"] = run.seed;
  json& rate = result["learning_rate"];
  rate["first"] = run.learning_rate;
  if (rate.contains("kind") && rate["kind"] != "constant" && !rate.contains("end"))
    rate["end"] = train["steps"];
  return result;
}

std::string Study::folder_of(const StudyRun& run) const {
  return fmt::format("{}-lr{}-{}", file_name(variants[run.variant].name), run.learning_rate, run.seed);
}

int64_t Study::tokens_of_run() const { return tokens_of(*this, train["steps"].get<int64_t>()); }

Study read_study(const fs::path& path) {
  const json text = parse_json(read_text(path), path.string());
  try {
    Document document;
    config::read(text, document);
    check(!document.base.contains("schedule"), ErrorKind::input,
          "'base.schedule': schedules belong to the variants");
    check_list(document.seeds, "seeds");
    check_list(document.learning_rates, "learning_rates");
    Study study;
    study.name = path.filename().string();
    study.train = document.train;
    study.seeds = document.seeds;
    study.learning_rates = document.learning_rates;
    study.samples = document.samples;
    read_variants(document, path.parent_path(), study);
    resolve_budget(study);
    check_train(study);
    return study;
  } catch (const Error& error) {
    fail(ErrorKind::input, "{}: {}", path.string(), error);
  } catch (const json::exception& error) {
    fail(ErrorKind::input, "{}: {}", path.string(), error.what());
  }
}

TrainOptions train_options_of(const Study& study, const StudyRun& run) {
  return train_options_from_json(study.train_of(run),
                                 config::field_names<transformer::TransformerTraining>());
}

transformer::TransformerTraining training_of(const Study& study, const StudyRun& run) {
  return transformer::transformer_training_from_json(study.train_of(run), study.variants[run.variant].config);
}

}  // namespace dalle1::tools
