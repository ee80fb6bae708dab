#include "clip/config.h"

#include <functional>
#include <map>

#include "core/error.h"
#include "core/json.h"
#include "core/ops/elementwise.h"

namespace dalle1::clip {
namespace {

using nlohmann::json;

// Every field once: its name, how it is written and how it is read.
struct Field {
  std::function<json(const ClipConfig&)> get;
  std::function<void(ClipConfig&, const json&, const std::string& name)> set;
};

template <typename T>
Field plain(T ClipConfig::*member) {
  return {[member](const ClipConfig& c) { return json(c.*member); },
          [member](ClipConfig& c, const json& value, const std::string& name) {
            c.*member = value_of<T>(value, name, ErrorKind::model);
          }};
}

const std::map<std::string, Field>& fields() {
  static const std::map<std::string, Field> table{
      {"embed_dim", plain(&ClipConfig::embed_dim)},
      {"image_resolution", plain(&ClipConfig::image_resolution)},
      {"vision_width", plain(&ClipConfig::vision_width)},
      {"vision_heads", plain(&ClipConfig::vision_heads)},
      {"context_length", plain(&ClipConfig::context_length)},
      {"vocab_size", plain(&ClipConfig::vocab_size)},
      {"transformer_width", plain(&ClipConfig::transformer_width)},
      {"transformer_heads", plain(&ClipConfig::transformer_heads)},
      {"transformer_layers", plain(&ClipConfig::transformer_layers)},
      {"transformer_mlp_width", plain(&ClipConfig::transformer_mlp_width)},
      {"activation", plain(&ClipConfig::activation)},
      {"end_token", plain(&ClipConfig::end_token)},
      {"mean", plain(&ClipConfig::mean)},
      {"std", plain(&ClipConfig::deviation)},
      {"vision_layers",
       {[](const ClipConfig& c) { return c.is_resnet() ? json(c.vision_layers) : json(c.vision_layers[0]); },
        [](ClipConfig& c, const json& value, const std::string& name) {
          const auto list = value.is_array() ? value : json::array({value});
          c.vision_layers = value_of<std::vector<int64_t>>(list, name, ErrorKind::model);
        }}},
      {"vision_mlp_width",
       {[](const ClipConfig& c) { return c.is_resnet() ? json() : json(c.vision_mlp_width); },
        [](ClipConfig& c, const json& value, const std::string& name) {
          c.vision_mlp_width = value.is_null() ? 0 : value_of<int64_t>(value, name, ErrorKind::model);
        }}},
      {"vision_patch_size",
       {[](const ClipConfig& c) { return c.is_resnet() ? json() : json(c.vision_patch_size); },
        [](ClipConfig& c, const json& value, const std::string& name) {
          c.vision_patch_size = value.is_null() ? 0 : value_of<int64_t>(value, name, ErrorKind::model);
        }}}};
  return table;
}

void validate(const ClipConfig& c) {
  auto positive = [](int64_t value, const char* name) {
    check(value > 0 && value <= (1 << 20), ErrorKind::model, "CLIP configuration: {} is {}", name, value);
  };
  positive(c.embed_dim, "embed_dim");
  positive(c.image_resolution, "image_resolution");
  positive(c.vision_width, "vision_width");
  positive(c.context_length, "context_length");
  positive(c.vocab_size, "vocab_size");
  positive(c.transformer_width, "transformer_width");
  positive(c.transformer_heads, "transformer_heads");
  positive(c.transformer_layers, "transformer_layers");
  positive(c.vision_heads, "vision_heads");
  positive(c.vision_mlp_width, "vision_mlp_width");
  positive(c.transformer_mlp_width, "transformer_mlp_width");
  ops::activation_from_name(c.activation);
  check(c.vision_layers.size() == 1 || c.vision_layers.size() == 4, ErrorKind::model,
        "CLIP configuration: vision_layers has {} entries; give one (ViT) or four (ResNet)",
        c.vision_layers.size());
  for (int64_t layers : c.vision_layers) positive(layers, "vision_layers");
  if (c.is_resnet()) {
    check(c.image_resolution % 32 == 0, ErrorKind::model,
          "CLIP configuration: image_resolution {} is not a multiple of 32", c.image_resolution);
    check(c.vision_width % 2 == 0, ErrorKind::model, "CLIP configuration: vision_width {} is odd",
          c.vision_width);
  } else {
    positive(c.vision_patch_size, "vision_patch_size");
    check(c.image_resolution % c.vision_patch_size == 0, ErrorKind::model,
          "CLIP configuration: image_resolution {} is not a multiple of vision_patch_size {}",
          c.image_resolution, c.vision_patch_size);
  }
  check(c.vision_channels() % c.vision_heads == 0, ErrorKind::model,
        "CLIP configuration: {} vision_heads do not share {} channels evenly", c.vision_heads,
        c.vision_channels());
  check(c.transformer_width % c.transformer_heads == 0, ErrorKind::model,
        "CLIP configuration: transformer_width {} is not a multiple of transformer_heads {}",
        c.transformer_width, c.transformer_heads);
}

}  // namespace

ClipConfig ClipConfig::resolved() const {
  ClipConfig out = *this;
  if (vision_heads == 0) {
    check(vision_channels() % 64 == 0, ErrorKind::model,
          "CLIP configuration: vision_width {} does not divide into heads of 64: say vision_heads",
          vision_width);
    out.vision_heads = vision_channels() / 64;
  }
  if (vision_mlp_width == 0) out.vision_mlp_width = 4 * vision_width;
  if (transformer_mlp_width == 0) out.transformer_mlp_width = 4 * transformer_width;
  return out;
}

json ClipConfig::to_json() const {
  json object{{"kind", "openai"}};
  const ClipConfig config = resolved();
  for (const auto& [name, field] : fields()) object[name] = field.get(config);
  return object;
}

json ClipConfig::identity() const {
  json object = to_json();
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

ClipConfig clip_config_from_json(const json& object) {
  check(object.is_object(), ErrorKind::model, "CLIP configuration: not a JSON object");
  ClipConfig config;
  for (const auto& [name, value] : object.items()) {
    if (name == "kind") continue;
    const auto field = fields().find(name);
    check(field != fields().end(), ErrorKind::model, "CLIP configuration: unknown field '{}'", name);
    try {
      field->second.set(config, value, name);
    } catch (const Error& error) {
      fail(error.kind(), "CLIP configuration: {}", error.what());
    }
  }
  config = config.resolved();
  validate(config);
  return config;
}

}  // namespace dalle1::clip
