#include "transformer/caption_config.h"

#include <algorithm>
#include <vector>

#include "core/json.h"
#include "core/ops/elementwise.h"

namespace dalle1::transformer {
namespace {

// The one list of fields: reading and writing follow it.
template <typename Config, typename Visitor>
void visit_captioner_fields(Config& config, const Visitor& field) {
  field("layers", config.layers);
  field("width", config.width);
  field("heads", config.heads);
  field("text_slots", config.text_slots);
  field("text_vocab", config.text_vocab);
  field("condition", config.condition);
  field("grid", config.grid);
  field("image_vocab", config.image_vocab);
  field("code_width", config.code_width);
  field("embed_dim", config.embed_dim);
  field("prefix", config.prefix);
  field("mlp_ratio", config.mlp_ratio);
  field("activation", config.activation);
  field("qk_norm", config.qk_norm);
  field("style", config.style);
  field("dvae_sha256", config.dvae_sha256);
  field("tokenizer_sha256", config.tokenizer_sha256);
}

void check_size(const char* name, int64_t value, int64_t low, int64_t high) {
  check(value >= low && value <= high, ErrorKind::model,
        "captioner configuration: {} is {}; it must be {} to {}", name, value, low, high);
}

bool differ(const std::string& a, const std::string& b) { return !a.empty() && !b.empty() && a != b; }

std::string brief(const std::string& sha256) { return sha256.substr(0, 12); }

}  // namespace

void validate(const CaptionerConfig& config) {
  check_size("layers", config.layers, 1, 4096);
  check_size("width", config.width, 1, 1 << 16);
  check_size("heads", config.heads, 1, config.width);
  check(config.width % config.heads == 0, ErrorKind::model,
        "captioner configuration: width {} is no multiple of {} heads", config.width, config.heads);
  check_size("text_slots", config.text_slots, 2, 4096);
  check_size("text_vocab", config.text_vocab, 1, 1 << 20);
  check_size("grid", config.grid, 1, 128);
  check_size("image_vocab", config.image_vocab, 1, 1 << 20);
  check_size("code_width", config.code_width, 1, 1 << 16);
  check_size("embed_dim", config.embed_dim, 1, 1 << 16);
  check_size("prefix", config.prefix, 1, 4096);
  check_size("mlp_ratio", config.mlp_ratio, 1, 64);
  check(config.condition == "grid" || config.condition == "clip" || config.condition == "both",
        ErrorKind::model, "captioner configuration: condition is '{}'; it must be grid, clip or both",
        config.condition);
  check(!config.style.empty(), ErrorKind::model, "captioner configuration: style is empty; write plain");
  ops::activation_from_name(config.activation);
}

CaptionerConfig captioner_config_from_json(const nlohmann::json& json) {
  check(json.is_object(), ErrorKind::model, "captioner configuration: it is no JSON object");
  CaptionerConfig config;
  std::vector<std::string> names;
  visit_captioner_fields(config, [&](const char* name, auto& value) {
    value = value_or(json, name, value, ErrorKind::model, "captioner.");
    names.emplace_back(name);
  });
  for (const auto& [key, value] : json.items())
    check(std::find(names.begin(), names.end(), key) != names.end(), ErrorKind::model,
          "captioner configuration: unknown field '{}'", key);
  validate(config);
  return config;
}

nlohmann::ordered_json to_json(const CaptionerConfig& config) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  visit_captioner_fields(config, [&](const char* name, const auto& value) { json[name] = value; });
  return json;
}

void check_inputs(const CaptionerConfig& config, const TokenShardInfo& info, const std::string& what) {
  if (config.reads_grid()) {
    check(info.grid == config.grid && info.codes == config.image_vocab, ErrorKind::model,
          "{}: grids of {} with {} codes; this captioner reads grids of {} with {} codes: use one that was "
          "trained on such grids",
          what, info.grid, info.codes, config.grid, config.image_vocab);
    check(!differ(info.dvae_sha256, config.dvae_sha256), ErrorKind::model,
          "{}: codes of another dVAE ({}...) than this captioner's ({}...): use the dVAE it was trained with",
          what, brief(info.dvae_sha256), brief(config.dvae_sha256));
  }
  check(!differ(info.tokenizer_sha256, config.tokenizer_sha256), ErrorKind::model,
        "{}: another tokenizer ({}...) than this captioner's ({}...): use the one it was trained with", what,
        brief(info.tokenizer_sha256), brief(config.tokenizer_sha256));
}

}  // namespace dalle1::transformer
