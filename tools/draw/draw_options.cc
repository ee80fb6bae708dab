#include "tools/draw/draw_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <concepts>
#include <string_view>

#include "core/error.h"
#include "core/io/text_file.h"
#include "core/json.h"
#include "core/text/utf8.h"
#include "rerank/scorer.h"
#include "tools/program/options.h"

namespace dalle1::tools {
namespace {

// Declares each visited field as an option: its flag, help, range and default.
struct OptionAdder {
  CLI::App& app;

  template <typename T>
  CLI::Option* operator()(std::string_view name, T& value, const config::Rule& rule) {
    const std::string flag = flag_of(name), help(rule.help);
    if constexpr (std::same_as<T, bool>) {
      return app.add_flag(flag, value, help);
    } else if constexpr (std::same_as<T, std::string>) {
      auto* option = app.add_option(flag, value, help);
      if (!rule.choices.empty())
        option->check(CLI::IsMember(std::vector<std::string>(rule.choices.begin(), rule.choices.end())));
      return value.empty() ? option : option->capture_default_str();
    } else if constexpr (std::integral<T> || std::floating_point<T>) {
      auto* option = app.add_option(flag, value, help)->capture_default_str();
      return std::isfinite(rule.range.low) ? option->check(in_range<T>(rule.range)) : option;
    } else {
      return app.add_option(flag, value, help)
          ->check(in_range<typename T::value_type>(rule.range))
          ->delimiter(',')
          ->allow_extra_args(false);
    }
  }

  template <typename T>
  static CLI::Validator in_range(const Range& range) {
    const CLI::Range closed(static_cast<T>(range.low), static_cast<T>(range.high));
    if (!range.above) return closed;
    return closed & CLI::Validator(
                        [range](const std::string& text) {
                          return std::stod(text) > range.low ? std::string()
                                                             : fmt::format("must be above {}", range.low);
                        },
                        "");
  }
};

// The same for fields that a model may advise: remembers which the user gave.
struct AdvisedOptionAdder {
  CLI::App& app;
  DrawOptions& options;

  template <typename T>
  requires(std::is_arithmetic_v<T> || std::same_as<T, std::string>) void operator()(
      std::string_view name, T& value, const config::Rule& rule) {
    const auto help = fmt::format("{} (default: the model's advice, else {})", rule.help, value);
    OptionAdder{app}(name, value, rule.with(help))
        ->default_str("")
        ->each([&options = options, field = std::string(name)](const std::string&) {
          options.chosen.insert(field);
        });
  }
};

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

void add_advised_options(CLI::App& app, DrawOptions& options) {
  const auto add = [&](std::string_view name, auto& value, const config::Rule& rule) {
    if (name != "prune") AdvisedOptionAdder{app, options}(name, value, rule);
  };
  rerank::AdvisedOptions::visit(options, add);
}

std::string take_advice(DrawOptions& options, const nlohmann::json& advice) {
  const auto text_of = [](const nlohmann::json& value) {
    if (value.is_string()) return value.get<std::string>();
    return value.is_number_float() ? fmt::format("{}", value.get<double>()) : value.dump();
  };
  const auto fields = rerank::take_advice(options, advice, options.chosen);
  const auto values = config::write<nlohmann::json>(options);
  std::string taken;
  for (const auto& field : fields)
    taken += fmt::format("{}{} {}", taken.empty() ? "" : " ", flag_of(field), text_of(values[field]));
  return taken;
}

rerank::Existing DrawOptions::existing() const {
  if (resume) return rerank::Existing::resume;
  return overwrite ? rerank::Existing::overwrite : rerank::Existing::refuse;
}

void add_draw_options(CLI::App& app, DrawOptions& options) {
  const auto advised = config::field_names<rerank::AdvisedOptions>();
  const auto add = [&](std::string_view name, auto& value, const config::Rule& rule) {
    if constexpr (std::invocable<AdvisedOptionAdder, std::string_view, decltype(value), config::Rule>)
      if (std::count(advised.begin(), advised.end(), name) > 0)
        return AdvisedOptionAdder{app, options}(name, value, rule);
    OptionAdder{app}(name, value, rule);
  };
  rerank::GenerationOptions::visit(options, add);
  app.add_option("--prompts", options.prompts, "A file of prompts: one a line, or JSON lines")
      ->excludes(app.get_option("--prompt"));
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
  rerank::parse_scorer(options.scorer);
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
