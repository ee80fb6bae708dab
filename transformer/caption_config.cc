#include "transformer/caption_config.h"

#include "core/config/fields.h"
#include "core/ops/elementwise.h"

namespace dalle1::transformer {
namespace {

constexpr std::string_view kCaptioner = "captioner configuration";
const config::Place kCaptionerFields = {ErrorKind::model};

bool differ(const std::string& a, const std::string& b) { return !a.empty() && !b.empty() && a != b; }

std::string brief(const std::string& sha256) { return sha256.substr(0, 12); }

}  // namespace

void CaptionerConfig::visit(auto& self, auto& field) {
  field("layers", self.layers, config::within(1, 4096));
  field("width", self.width, config::within(1, 1 << 16));
  field("heads", self.heads, config::within(1, self.width));
  field("text_slots", self.text_slots, config::within(2, 4096));
  field("text_vocab", self.text_vocab, config::within(1, 1 << 20));
  field("condition", self.condition, config::one_of({"grid", "clip", "both"}));
  field("grid", self.grid, config::within(1, 128));
  field("image_vocab", self.image_vocab, config::within(1, 1 << 20));
  field("code_width", self.code_width, config::within(1, 1 << 16));
  field("embed_dim", self.embed_dim, config::within(1, 1 << 16));
  field("prefix", self.prefix, config::within(1, 4096));
  field("mlp_ratio", self.mlp_ratio, config::within(1, 64));
  field("activation", self.activation);
  field("qk_norm", self.qk_norm);
  field("style", self.style);
  field("dvae_sha256", self.dvae_sha256);
  field("tokenizer_sha256", self.tokenizer_sha256);
}

void validate(const CaptionerConfig& c) {
  config::named(kCaptioner, [&] {
    config::check_values(c, kCaptionerFields);
    check(c.width % c.heads == 0, ErrorKind::model, "width {} is no multiple of {} heads", c.width, c.heads);
    check(!c.style.empty(), ErrorKind::model, "style is empty; write plain");
    ops::activation_from_name(c.activation);
  });
}

CaptionerConfig captioner_config_from_json(const nlohmann::json& json) {
  CaptionerConfig c;
  config::named(kCaptioner, [&] { config::read(json, c, kCaptionerFields); });
  validate(c);
  return c;
}

nlohmann::ordered_json to_json(const CaptionerConfig& config) {
  return config::write<nlohmann::ordered_json>(config);
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
