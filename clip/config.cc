#include "clip/config.h"

#include "core/config/fields.h"
#include "core/ops/elementwise.h"
#include "core/text/tokenizer.h"

namespace dalle1::clip {
namespace {

constexpr int64_t kMost = 1 << 20;

// What a heads or MLP width of zero stands for is known by now.
void validate(const ClipConfig& c) {
  config::check_values(c, {ErrorKind::model});
  ops::activation_from_name(c.activation);
  check(c.vision_layers.size() == 1 || c.vision_layers.size() == 4, ErrorKind::model,
        "vision_layers has {} entries; give one (ViT) or four (ResNet)", c.vision_layers.size());
  if (c.is_resnet()) {
    check(c.image_resolution % 32 == 0, ErrorKind::model, "image_resolution {} is not a multiple of 32",
          c.image_resolution);
    check(c.vision_width % 2 == 0, ErrorKind::model, "vision_width {} is odd", c.vision_width);
  } else {
    check(c.vision_patch_size > 0 && c.image_resolution % c.vision_patch_size == 0, ErrorKind::model,
          "image_resolution {} is not a multiple of vision_patch_size {}", c.image_resolution,
          c.vision_patch_size);
  }
  check(c.vision_channels() % c.vision_heads == 0, ErrorKind::model,
        "{} vision_heads do not share {} channels evenly", c.vision_heads, c.vision_channels());
  check(c.transformer_width % c.transformer_heads == 0, ErrorKind::model,
        "transformer_width {} is not a multiple of transformer_heads {}", c.transformer_width,
        c.transformer_heads);
}

}  // namespace

void ClipConfig::visit(auto& self, auto& field) {
  field("kind", config::Constant{"openai"});
  field("embed_dim", self.embed_dim, config::within(1, kMost));
  field("image_resolution", self.image_resolution, config::within(1, kMost));
  field("vision_layers", self.vision_layers, {.range = {1, kMost}, .one_or_list = true});
  field("vision_width", self.vision_width, config::within(1, kMost));
  field("vision_heads", self.vision_heads, config::within(0, kMost));
  field("vision_mlp_width", self.vision_mlp_width, {.range = {0, kMost}, .null_when = self.is_resnet()});
  field("vision_patch_size", self.vision_patch_size, {.range = {0, kMost}, .null_when = self.is_resnet()});
  field("context_length", self.context_length, config::within(1, kMost));
  field("vocab_size", self.vocab_size, config::within(1, kMost));
  field("transformer_width", self.transformer_width, config::within(1, kMost));
  field("transformer_heads", self.transformer_heads, config::within(1, kMost));
  field("transformer_layers", self.transformer_layers, config::within(1, kMost));
  field("transformer_mlp_width", self.transformer_mlp_width, config::within(0, kMost));
  field("activation", self.activation);
  field("end_token", self.end_token);
  field("mean", self.mean);
  field("std", self.deviation);
}

ClipConfig ClipConfig::resolved() const {
  ClipConfig out = *this;
  if (vision_heads == 0) {
    check(vision_channels() % 64 == 0, ErrorKind::model,
          "vision_width {} does not divide into heads of 64: say vision_heads", vision_width);
    out.vision_heads = vision_channels() / 64;
  }
  if (vision_mlp_width == 0) out.vision_mlp_width = 4 * vision_width;
  if (transformer_mlp_width == 0) out.transformer_mlp_width = 4 * transformer_width;
  return out;
}

nlohmann::json ClipConfig::to_json() const { return config::write<nlohmann::json>(resolved()); }

nlohmann::json ClipConfig::identity() const {
  nlohmann::json object = to_json();
  const ClipConfig config = resolved();
  const auto drop = [&](const char* name, bool implied) {
    if (implied) object.erase(name);
  };
  drop("vision_heads", config.vision_heads * 64 == config.vision_channels());
  drop("vision_mlp_width", config.is_resnet() || config.vision_mlp_width == 4 * config.vision_width);
  drop("transformer_mlp_width", config.transformer_mlp_width == 4 * config.transformer_width);
  drop("activation", config.activation == ClipConfig().activation);
  return object;
}

void check_fits(const ClipConfig& config, const text::Tokenizer& tokenizer) {
  check(tokenizer.vocab_size() <= config.vocab_size, ErrorKind::model,
        "CLIP's tokenizer has {} tokens and CLIP takes {}: give the CLIP with its own tokenizer, as a model "
        "directory",
        tokenizer.vocab_size(), config.vocab_size);
  check(config.end_token < 0 || config.end_token == tokenizer.special().eos, ErrorKind::model,
        "CLIP's tokenizer ends texts with {} and CLIP expects {}: they do not belong together",
        tokenizer.special().eos, config.end_token);
}

ClipConfig clip_config_from_json(const nlohmann::json& object) {
  return config::named("CLIP configuration", [&] {
    ClipConfig c;
    config::read(object, c, {ErrorKind::model});
    c = c.resolved();
    validate(c);
    return c;
  });
}

}  // namespace dalle1::clip
