// dalle1 info: what a checkpoint or a configuration is.
#include <fmt/format.h>

#include "clip/config.h"
#include "core/text/tokenizer.h"
#include "tools/commands/part_shapes.h"
#include "tools/models/models.h"
#include "tools/program/command.h"
#include "transformer/estimate.h"
#include "weights/describe.h"
#include "weights/hub_dir.h"
#include "weights/import.h"
#include "weights/model_dir.h"
#include "weights/open.h"
#include "weights/presets.h"

namespace dalle1::tools {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::ordered_json;

struct InfoOptions {
  std::vector<std::string> paths;
  bool tensors = false;
};

/// What a transformer of this configuration needs, by arithmetic alone.
Json transformer_costs(const nlohmann::json& json) {
  const auto config = transformer::config_from_json(json);
  transformer::EstimateOptions options;
  options.weight_bytes = 2;
  options.activations = DType::bf16;
  const auto narrow = transformer::estimate(config, options);
  const auto wide = transformer::estimate(config, {});
  return {{"parameters", narrow.parameters},
          {"weight_bytes", {{"f32", wide.weights}, {"bf16", narrow.weights}, {"i8", narrow.parameters}}},
          {"cache_bytes_per_candidate", {{"f32", wide.cache}, {"bf16", narrow.cache}}},
          {"cache_bytes_of_prompt", {{"f32", wide.prefix}, {"bf16", narrow.prefix}}},
          {"flops_per_image", narrow.image_flops},
          {"flops_of_prompt", narrow.prefill_flops}};
}

// "4.1 GB in f32, 2 GB in bf16, 1 GB in int8", of those that are known.
std::string by_type(const Json& bytes) {
  std::string text;
  for (const auto& [type, value] : bytes.items())
    text += fmt::format("{}{} in {}", text.empty() ? "" : ", ", weights::bytes_text(value.get<double>()),
                        type == "i8" ? "int8" : type);
  return text;
}

std::string size_text(const Json& costs) {
  return fmt::format("  {:<14}{} ({})\n  {:<14}{}\n", "parameters", costs["parameters"].dump(),
                     weights::count_text(costs["parameters"].get<double>()), "weights",
                     by_type(costs["weight_bytes"]));
}

/// What running it takes: no file says it.
std::string running_text(const Json& costs) {
  return fmt::format(
      "  {:<14}{} a candidate; {} for the prompt, shared\n  {:<14}{:.3g} an image, {:.3g} the prompt\n",
      "cache", by_type(costs["cache_bytes_per_candidate"]), by_type(costs["cache_bytes_of_prompt"]), "FLOPs",
      costs["flops_per_image"].get<double>(), costs["flops_of_prompt"].get<double>());
}

/// Sums the shapes that the configuration asks for.
int64_t count_parameters(const std::string& part, const nlohmann::json& config) {
  int64_t count = 0;
  for (const auto& spec : expected_tensors(part, config)) count += weights::checked_numel(spec.shape);
  return count;
}

std::string part_of(const nlohmann::json& config) {
  if (config.contains("condition")) return "captioner";
  if (config.contains("layers")) return "transformer";
  return config.contains("embed_dim") && config.contains("context_length") ? "clip" : "dvae";
}

/// A publisher's configuration in native terms, as far as it says them without its file.
nlohmann::json native_config(const std::string& name, const nlohmann::json& config) {
  check(!config.contains("model"), ErrorKind::model,
        "{}: this is a publisher's configuration of a VQGAN; give it together with its file", name);
  if (!config.contains("num_layers")) return config;
  weights::StateFile absent;
  absent.name = name;
  try {
    return weights::rudalle_importer().convert({absent}, config).config;
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorKind::model, "{}: not the arguments of a ru-dalle transformer: {}", name, error.what());
  }
}

int info_of_config(const std::string& chosen, const CommonOptions& common) {
  const auto equals = chosen.find('=');
  const std::string named_part = equals == chosen.npos ? "" : chosen.substr(0, equals);
  const std::string name = equals == chosen.npos ? chosen : chosen.substr(equals + 1);
  const nlohmann::json config = native_config(name, config_for(common, named_part));
  const weights::Preset* preset = weights::find_preset(name);
  const std::string part = preset ? preset->part : named_part.empty() ? part_of(config) : named_part;
  check(named_part.empty() || named_part == part, ErrorKind::usage, "--config {}: {} is a {}", chosen, name,
        part);
  Json result = {{"name", name}, {"part", part}, {"config", config}};
  if (part == "transformer") {
    result["costs"] = transformer_costs(config);
  } else {
    const int64_t parameters = count_parameters(part, config);
    result["costs"] = {{"parameters", parameters},
                       {"weight_bytes", {{"f32", 4 * parameters}, {"bf16", 2 * parameters}}}};
  }
  if (common.json) {
    fmt::print("{}\n", json_text(result));
    return 0;
  }
  fmt::print("{} ({}){}\n", name, part, preset ? ": " + preset->summary : "");
  fmt::print("{}", size_text(result["costs"]));
  if (part == "transformer") fmt::print("{}", running_text(result["costs"]));
  for (auto& [key, value] : config.items()) fmt::print("  {:<14}{} = {}\n", "", key, value.dump());
  return 0;
}

/// A tokenizer, when the file is one; null otherwise.
std::unique_ptr<text::Tokenizer> tokenizer_in(const fs::path& path) {
  try {
    return text::open_tokenizer(path);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::model) throw;
    return nullptr;  // the caller then reports what the file is not
  }
}

std::vector<fs::path> files_under(const std::vector<std::string>& paths) {
  std::vector<fs::path> files;
  for (const std::string& path : paths) {
    if (!weights::is_model_dir(path)) {
      if (const auto hub = weights::find_hub_dir(path))
        for (const fs::path& file : weights::files_of(*hub)) files.push_back(file);
      else
        files.emplace_back(path);
      continue;
    }
    for (const auto& entry : fs::directory_iterator(path))
      if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

Json describe_paths(const InfoOptions& options, const CommonOptions& common) {
  Json result = Json::object();
  std::vector<fs::path> checkpoints;
  for (const std::string& path : options.paths) {
    if (weights::is_model_dir(path)) {
      const auto model = weights::read_model_dir(path, true);
      result["model"] = {{"path", path},
                         {"name", model.name},
                         {"licence", model.licence},
                         {"sampling", model.sampling},
                         {"provenance", model.document.value("provenance", Json::object())}};
      for (const auto& [key, file] :
           {std::pair{"tokenizer", model.tokenizer}, {"clip_tokenizer", model.clip_tokenizer}})
        if (file) result[key] = {{"kind", file->kind}, {"file", file->path.string()}};
      checkpoints.emplace_back(path);
    } else if (const auto hub = weights::find_hub_dir(path)) {
      if (!hub->tokenizer.empty())
        result["clip_tokenizer"] = {{"kind", "hf_clip_bpe"}, {"file", hub->tokenizer.front().string()}};
      checkpoints.emplace_back(path);
    } else if (auto tokenizer = tokenizer_in(path)) {
      result["tokenizer"] = {
          {"kind", tokenizer->kind()}, {"file", path}, {"vocabulary", tokenizer->vocab_size()}};
    } else {
      checkpoints.emplace_back(path);
    }
  }
  Json parts = Json::array();
  auto opened = open_parts(common, checkpoints);
  for (auto& [name, part] : opened) {
    // Older files leave out what follows from the rest, such as the heads.
    if (name == "clip") part.config = clip::clip_config_from_json(part.config).to_json();
    if (!part.config.contains("half")) check_part(part);  // one half of OpenAI's dVAE may be looked at alone
    parts.push_back(weights::describe(part, options.tensors));
    if (name == "transformer") parts.back()["costs"] = transformer_costs(part.config);
  }
  result["parts"] = std::move(parts);
  result["files"] = Json::array();
  for (const auto& file : files_under(options.paths)) result["files"].push_back(weights::describe_file(file));
  return result;
}

void print_text(const Json& result) {
  if (result.contains("model"))
    fmt::print("{} ({}), licence {}\n", result["model"]["name"].get<std::string>(),
               result["model"]["path"].get<std::string>(), result["model"]["licence"].get<std::string>());
  for (const auto& part : result["parts"]) {
    fmt::print("{}", weights::description_text(part));
    if (part.contains("costs")) fmt::print("{}", running_text(part["costs"]));
  }
  for (const char* key : {"tokenizer", "clip_tokenizer"})
    if (result.contains(key))
      fmt::print("{} ({}) from {}\n", key, result[key]["kind"].get<std::string>(),
                 result[key]["file"].get<std::string>());
  for (const auto& file : result["files"])
    fmt::print("sha256 {}  {} ({})\n", file["sha256"].get<std::string>(), file["file"].get<std::string>(),
               weights::bytes_text(file["bytes"].get<double>()));
}

int info(const InfoOptions& options, const CommonOptions& common) {
  if (options.paths.empty()) {
    check(common.config.size() == 1, ErrorKind::usage,
          "give a file, a model directory or --config; presets are {}", weights::preset_names());
    return info_of_config(common.config.front(), common);
  }
  const Json result = describe_paths(options, common);
  if (common.json)
    fmt::print("{}\n", json_text(result));
  else
    print_text(result);
  return 0;
}

}  // namespace

Command info_command() {
  return {"info", "Say what a checkpoint, a model directory or a configuration is",
          "dalle1 info encoder.pkl decoder.pkl\ndalle1 info --config dalle1-12b",
          [](CLI::App& app, CommonOptions& common) {
            auto options = std::make_shared<InfoOptions>();
            app.add_option("paths", options->paths, "Model directory, native or published files");
            app.add_flag("--tensors", options->tensors, "List every tensor");
            add_list_option(app, "--config", common.config, "[PART=]PRESET|FILE: the architecture of a part");
            return [options, &common] { return info(*options, common); };
          }};
}

}  // namespace dalle1::tools
