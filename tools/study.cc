#include "tools/study.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <set>

#include "core/data/text_file.h"
#include "core/json.h"

namespace dalle1::tools {
namespace fs = std::filesystem;
namespace {

using nlohmann::json;

void check_fields(const json& object, const std::string& where, const std::set<std::string>& known) {
  check(object.is_object(), ErrorKind::input, "'{}' must be an object", where);
  for (const auto& [key, value] : object.items())
    check(known.count(key) == 1, ErrorKind::input, "'{}' is not a known field of {}", key, where);
}

const json& field(const json& object, const std::string& where, const char* name) {
  check(object.contains(name), ErrorKind::input, "{} has no '{}'", where, name);
  return object.at(name);
}

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

StudyVariant read_variant(const json& entry, const json& base, const fs::path& folder) {
  check_fields(entry, "a variant", {"name", "schedule"});
  StudyVariant variant;
  variant.name = value_of<std::string>(field(entry, "a variant", "name"), "name");
  const bool printable = std::all_of(variant.name.begin(), variant.name.end(),
                                     [](unsigned char c) { return c >= 32 && c != 127; });
  check(!variant.name.empty() && variant.name.size() <= 60 && printable, ErrorKind::input,
        "the name of a variant must be 1 to 60 printable characters");
  try {
    json architecture = base;
    const int64_t layers = transformer::config_from_json(base).layers;
    architecture["schedule"] = full_schedule(field(entry, "it", "schedule"), layers, folder);
    variant.config = transformer::config_from_json(architecture);
  } catch (const Error& error) {
    fail(ErrorKind::input, "variant '{}': {}", variant.name, error.what());
  }
  return variant;
}

// A folder's name: what is not a letter, digit, dot or line becomes a line.
std::string file_name(std::string name) {
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '_') c = '-';
  return name;
}

void read_variants(const json& document, const fs::path& folder, Study& study) {
  const json& variants = field(document, "the study", "variants");
  check(variants.is_array() && !variants.empty() && variants.size() <= 64, ErrorKind::input,
        "'variants' must be a list of 1 to 64");
  std::set<std::string> names;
  for (const json& entry : variants) {
    study.variants.push_back(read_variant(entry, field(document, "the study", "base"), folder));
    const std::string& name = study.variants.back().name;
    check(names.insert(file_name(name)).second, ErrorKind::input, "two variants are named '{}'", name);
  }
  const auto wanted = value_of<std::string>(field(document, "the study", "base_variant"), "base_variant");
  const auto found = std::find_if(study.variants.begin(), study.variants.end(),
                                  [&](const StudyVariant& variant) { return variant.name == wanted; });
  check(found != study.variants.end(), ErrorKind::input, "base_variant '{}' is no variant", wanted);
  study.base_variant = static_cast<size_t>(found - study.variants.begin());
}

template <typename Value>
std::vector<Value> read_list(const json& document, const char* name) {
  const json& list = field(document, "the study", name);
  check(list.is_array() && !list.empty() && list.size() <= 1000, ErrorKind::input,
        "'{}' must be a list of at least one", name);
  const auto values = value_of<std::vector<Value>>(list, name);
  check(std::set<Value>(values.begin(), values.end()).size() == values.size(), ErrorKind::input,
        "'{}' has a value twice", name);
  return values;
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
  for (double rate : study.learning_rates)
    check(std::isfinite(rate) && rate > 0, ErrorKind::input, "learning rate {} is not positive", rate);
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

StudySamples read_samples(const json& document) {
  StudySamples samples;
  if (!document.contains("samples")) return samples;
  const json& object = document.at("samples");
  check_fields(object, "samples", {"prompts", "candidates", "seed", "temperature", "top_p"});
  const auto read = [&](const char* name, auto& value) {
    value = value_or(object, name, value, ErrorKind::input, "samples.");
  };
  read("prompts", samples.prompts);
  read("candidates", samples.candidates);
  read("seed", samples.seed);
  read("temperature", samples.temperature);
  read("top_p", samples.top_p);
  check(samples.candidates >= 1 && samples.candidates <= 64, ErrorKind::input,
        "'samples.candidates' is {}; it must be 1 to 64", samples.candidates);
  check(samples.temperature >= 0 && samples.top_p > 0 && samples.top_p <= 1, ErrorKind::input,
        "'samples': temperature must not be negative and top_p above 0 and at most 1");
  return samples;
}

}  // namespace

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
  const json document = parse_json(read_text(path), path.string());
  try {
    check(document.is_object(), ErrorKind::input, "it is not a JSON object");
    check_fields(document, "the study",
                 {"base", "train", "variants", "base_variant", "seeds", "learning_rates", "samples"});
    check(!field(document, "the study", "base").contains("schedule"), ErrorKind::input,
          "'base.schedule': schedules belong to the variants");
    Study study;
    study.name = path.filename().string();
    study.train = field(document, "the study", "train");
    study.seeds = read_list<uint64_t>(document, "seeds");
    study.learning_rates = read_list<double>(document, "learning_rates");
    read_variants(document, path.parent_path(), study);
    resolve_budget(study);
    check_train(study);
    study.samples = read_samples(document);
    return study;
  } catch (const Error& error) {
    fail(ErrorKind::input, "{}: {}", path.string(), error.what());
  } catch (const json::exception& error) {
    fail(ErrorKind::input, "{}: {}", path.string(), error.what());
  }
}

TrainOptions train_options_of(const Study& study, const StudyRun& run) {
  return train_options_from_json(study.train_of(run), transformer::TransformerTraining::field_names());
}

transformer::TransformerTraining training_of(const Study& study, const StudyRun& run) {
  return transformer::transformer_training_from_json(study.train_of(run), study.variants[run.variant].config);
}

}  // namespace dalle1::tools
