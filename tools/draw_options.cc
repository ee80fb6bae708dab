#include "tools/draw_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <limits>
#include <numeric>
#include <string_view>

#include "core/data/text_file.h"
#include "core/error.h"
#include "core/json.h"
#include "core/text/utf8.h"

namespace dalle1::tools {
namespace {

// A sampling option: its names in a model's advice and on the command line, its range, whether it is a whole
// number, where its value goes.
struct SamplingOption {
  const char* key;
  const char* name;
  double lowest, highest;
  bool whole;
  void (*set)(DrawOptions&, double);
};

constexpr SamplingOption temperature_option = {
    "temperature", "temperature", 0,
    100,           false,         [](DrawOptions& options, double value) { options.temperature = value; }};
constexpr SamplingOption top_k_option = {
    "top_k", "top-k", 0,
    1 << 24, true,    [](DrawOptions& options, double value) { options.top_k = static_cast<int>(value); }};
constexpr SamplingOption top_p_option = {
    "top_p", "top-p", 0, 1, false, [](DrawOptions& options, double value) { options.top_p = value; }};
constexpr SamplingOption guidance_option = {
    "guidance", "guidance", 0,
    100,        false,      [](DrawOptions& options, double value) { options.guidance = value; }};

const SamplingOption* sampling_option(std::string_view key) {
  for (const auto* option : {&temperature_option, &top_k_option, &top_p_option, &guidance_option})
    if (option->key == key) return option;
  return nullptr;
}

template <typename T>
void add_sampling_option(CLI::App& app, const SamplingOption& option, DrawOptions& options, T& value,
                         const std::string& help) {
  app.add_option(std::string("--") + option.name, value,
                 fmt::format("{} (default: the model's advice, else {})", help, value))
      ->check(CLI::Range(static_cast<T>(option.lowest), static_cast<T>(option.highest)))
      ->each([&options, &option](const std::string&) { options.chosen.insert(option.key); });
}

// Whether a line begins a JSON list rather than a text such as "[sic] a red circle".
bool begins_json_list(const std::string& line) {
  const size_t bracket = line.find_first_not_of(" \t");
  const size_t next = line.find_first_not_of(" \t", bracket + 1);
  return line[bracket] == '[' && (next == std::string::npos || line[next] == '{' || line[next] == '"');
}

// Of a line that is not blank: itself, or the "prompt" of its JSON object.
std::string prompt_of(const std::string& line, const TextLines& lines, const std::string& path) {
  check(!begins_json_list(line), ErrorKind::input,
        "{}: a JSON list; write one prompt a line, or one JSON object with a \"prompt\" a line",
        lines.where());
  if (line[line.find_first_not_of(" \t")] != '{') {
    text::check_utf8(line, lines.where());
    return line;
  }
  const auto json = parse_json(line, path, ErrorKind::input, lines.number());
  check(json.contains("prompt") && json["prompt"].is_string(), ErrorKind::input,
        "{}: no JSON object with a \"prompt\"", lines.where());
  return json["prompt"].get<std::string>();
}

}  // namespace

void add_sampling_options(CLI::App& app, DrawOptions& options) {
  add_sampling_option(app, temperature_option, options, options.temperature, "Below 1: safer; 0: greedy");
  add_sampling_option(app, top_k_option, options, options.top_k, "Only the k most likely tokens; 0: all");
  add_sampling_option(app, top_p_option, options, options.top_p,
                      "Only the most likely tokens that hold this probability; 1: all");
  add_sampling_option(app, guidance_option, options, options.guidance,
                      "Classifier-free guidance u + s (c - u); 1: off; else doubles the cost");
}

std::string take_advice(DrawOptions& options, const rerank::Json& advice) {
  std::string taken;
  for (const auto& [key, value] : advice.items()) {
    if (key == "precision") continue;  // see precision_of()
    const auto* option = sampling_option(key);
    check(option, ErrorKind::model, "model.json: 'sampling' has an unknown member '{}'", key);
    const bool fits = option->whole ? value.is_number_integer() : value.is_number();
    check(fits && value >= option->lowest && value <= option->highest, ErrorKind::model,
          "model.json: 'sampling.{}' is {}; it must be a {}number from {} to {}", key, value.dump(),
          option->whole ? "whole " : "", option->lowest, option->highest);
    if (options.chosen.count(key) > 0) continue;
    option->set(options, value.get<double>());
    taken += fmt::format("{}--{} {}", taken.empty() ? "" : " ", option->name, value.dump());
  }
  check(options.top_p > 0, ErrorKind::model, "model.json: 'sampling.top_p' must be above 0");
  return taken;
}

rerank::Existing DrawOptions::existing() const {
  if (resume) return rerank::Existing::resume;
  return overwrite ? rerank::Existing::overwrite : rerank::Existing::refuse;
}

std::vector<uint32_t> DrawOptions::candidate_indices() const {
  auto indices = only;
  if (indices.empty()) {
    indices.resize(static_cast<size_t>(candidates));
    std::iota(indices.begin(), indices.end(), 0);
  }
  std::sort(indices.begin(), indices.end());
  indices.erase(std::unique(indices.begin(), indices.end()), indices.end());
  return indices;
}

rerank::Json DrawOptions::result_options() const {
  rerank::Json json = {{"candidates", candidates},
                       {"keep", keep},
                       {"seed", seed},
                       {"temperature", temperature},
                       {"top_k", top_k},
                       {"top_p", top_p},
                       {"guidance", guidance},
                       {"negative", negative},
                       {"scorer", scorer.empty() ? "clip" : scorer},
                       {"only", only},
                       {"truncate", truncate},
                       {"no_metadata", no_metadata}};
  return json;
}

void add_draw_options(CLI::App& app, DrawOptions& options) {
  auto* prompt = app.add_option("--prompt", options.prompt, "What to draw");
  auto* prompts =
      app.add_option("--prompts", options.prompts, "A file of prompts: one a line, or JSON lines");
  prompt->excludes(prompts);
  app.add_option("--candidates", options.candidates, "Pictures to sample")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  app.add_option("--keep", options.keep, "Pictures to keep, the best ones; the sheet shows the first 128")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  app.add_option("--seed", options.seed, "Another seed, other pictures; 0 to 2^64 - 1")
      ->capture_default_str();
  add_sampling_options(app, options);
  app.add_option("--negative", options.negative, "What guidance leads away from; needs --guidance");
  app.add_option("--scorer", options.scorer,
                 "clip, likelihood, likelihood-ratio, caption, caption-ratio, or a sum: clip=1,caption=0.02 "
                 "(default: clip)");
  app.add_option(
         "--kv-dtype", options.kv_dtype,
         "Cached keys and values: f32, bf16; on a GPU also fp8, mixed (fp8 in column and dense layers, "
         "bf16 in others); auto: on a CPU bf16 with int8, else f32, on a GPU the first of bf16, mixed and "
         "fp8 with which a wave fits")
      ->check(CLI::IsMember({"auto", "f32", "bf16", "fp8", "mixed"}))
      ->capture_default_str();
  app.add_option("--batch", options.batch, "Candidates decoded together (a wave); automatic by default")
      ->check(CLI::Range(1, 1000000));
  app.add_option("--only", options.only, "Only these candidates: --only 417,3")
      ->check(CLI::Range(uint32_t{0}, std::numeric_limits<uint32_t>::max()))
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_flag("--truncate", options.truncate, "Cut prompts that are too long instead of refusing them");
  app.add_flag("--no-metadata", options.no_metadata, "Pictures without any text in them");
  app.add_flag("--dry-run", options.dry_run, "Print memory and time estimates, and stop");
  auto* resume = app.add_flag("--resume", options.resume, "Go on with the run in the output folder");
  app.add_flag("--overwrite", options.overwrite, "Start again in a used output folder")->excludes(resume);
  app.add_option("--out", options.out, "Output folder (default: dalle1-out/PROMPT-SEED)");
  // An empty prompt is allowed, so presence cannot be told from the string.
  app.callback([&app, &options] { options.has_prompt = app.count("--prompt") > 0; });
}

void check_draw_options(const DrawOptions& options) {
  check(options.has_prompt || !options.prompts.empty(), ErrorKind::usage,
        "give --prompt TEXT or --prompts FILE");
  check(options.top_p > 0, ErrorKind::usage, "--top-p must be a number above 0 and at most 1");
  if (!options.scorer.empty()) rerank::parse_scorer(options.scorer);
}

std::vector<std::string> read_prompts(const DrawOptions& options) {
  if (options.prompts.empty()) {
    text::check_utf8(options.prompt, "the prompt");
    return {options.prompt};
  }
  TextLines lines(options.prompts);
  std::vector<std::string> prompts;
  for (std::string line; lines.next(line);)
    if (!is_blank(line)) prompts.push_back(prompt_of(line, lines, options.prompts));
  check(!prompts.empty(), ErrorKind::input, "{}: no prompts in it", options.prompts);
  return prompts;
}

std::string slug(const std::string& prompt) {
  constexpr size_t kMostBytes = 40;
  std::string name;
  for (size_t i = 0; i < prompt.size();) {
    const auto point = text::first_code_point(std::string_view(prompt).substr(i));
    const auto bytes = static_cast<size_t>(std::max(1, point.length));
    const bool ascii = point.value < 0x80;
    const bool letter =
        ascii ? std::isalnum(static_cast<unsigned char>(prompt[i])) != 0 : point.value >= 0xA1;
    if (name.size() + bytes > kMostBytes) break;
    if (letter)
      name += ascii ? std::string(1, static_cast<char>(std::tolower(static_cast<unsigned char>(prompt[i]))))
                    : prompt.substr(i, bytes);
    else if (!name.empty() && name.back() != '-')
      name += '-';
    i += bytes;
  }
  while (!name.empty() && name.back() == '-') name.pop_back();
  return name.empty() ? "prompt" : name;
}

}  // namespace dalle1::tools
