#include "weights/hf_clip_config.h"

#include "core/error.h"
#include "weights/small_json.h"

namespace dalle1::weights {
namespace {

using nlohmann::json;

/// One tower's object; in files of older versions NAME_dict overrides NAME.
class Tower {
 public:
  Tower(const std::string& file, const json& config, std::string name) : file_(file), name_(std::move(name)) {
    for (const std::string& member : {name_, name_ + "_dict"}) {
      const json part = config.value(member, json());
      check(part.is_object() || part.is_null(), ErrorKind::model, "{}: '{}' is no object", file_, member);
      if (part.is_object()) fields_.update(part);
    }
  }

  int64_t whole(const char* field, int64_t fallback) const {
    const json value = fields_.value(field, json(fallback));
    check(value.is_number_integer() && value >= 0 && value <= (1 << 20), ErrorKind::model,
          "{}: '{}.{}' cannot be {}", file_, name_, field, printable(value.dump()));
    return value.get<int64_t>();
  }
  std::string activation() const {
    const json value = fields_.value("hidden_act", json("quick_gelu"));
    check(value == "quick_gelu" || value == "gelu", ErrorKind::model,
          "{}: '{}.hidden_act' is {}; quick_gelu and gelu are supported", file_, name_,
          printable(value.dump()));
    return value.get<std::string>();
  }
  void only(const char* field, const json& supported) const {
    const json value = fields_.value(field, supported);
    check(value == supported, ErrorKind::model, "{}: '{}.{}' is {}; only {} is supported", file_, name_,
          field, printable(value.dump()), supported.dump());
  }

 private:
  const std::string& file_;
  std::string name_;
  json fields_ = json::object();
};

}  // namespace

bool is_hf_clip_config(const json& config) {
  return config.is_object() && config.value("model_type", json()) == "clip";
}

json from_hf_clip(const std::string& name, const json& config) {
  const Tower text(name, config, "text_config"), vision(name, config, "vision_config");
  for (const Tower* tower : {&text, &vision}) tower->only("layer_norm_eps", 1e-5);
  vision.only("num_channels", 3);
  check(text.activation() == vision.activation(), ErrorKind::model,
        "{}: its text tower has {} and its vision tower {}; one for both is supported", name,
        text.activation(), vision.activation());
  const json embed = config.value("projection_dim", json(512));
  check(embed.is_number_integer(), ErrorKind::model, "{}: 'projection_dim' cannot be {}", name,
        printable(embed.dump()));
  // 2 stands in files from before the feature was taken at this id: it is at the largest id there.
  const int64_t end = text.whole("eos_token_id", 49407);
  return {{"kind", "openai"},
          {"embed_dim", embed},
          {"image_resolution", vision.whole("image_size", 224)},
          {"vision_layers", vision.whole("num_hidden_layers", 12)},
          {"vision_width", vision.whole("hidden_size", 768)},
          {"vision_heads", vision.whole("num_attention_heads", 12)},
          {"vision_mlp_width", vision.whole("intermediate_size", 3072)},
          {"vision_patch_size", vision.whole("patch_size", 32)},
          {"context_length", text.whole("max_position_embeddings", 77)},
          {"vocab_size", text.whole("vocab_size", 49408)},
          {"transformer_width", text.whole("hidden_size", 512)},
          {"transformer_heads", text.whole("num_attention_heads", 8)},
          {"transformer_layers", text.whole("num_hidden_layers", 12)},
          {"transformer_mlp_width", text.whole("intermediate_size", 2048)},
          {"activation", text.activation()},
          {"end_token", end == 2 ? -1 : end}};
}

void add_hf_preprocessing(const std::string& name, const json& preprocessor, json& config) {
  check(preprocessor.is_object(), ErrorKind::model, "{}: no JSON object", name);
  for (const auto& [field, value] : {std::pair{"resample", json(3)},
                                     {"do_resize", json(true)},
                                     {"do_center_crop", json(true)},
                                     {"do_normalize", json(true)}}) {
    const json given = preprocessor.value(field, value);
    check(given == value, ErrorKind::model, "{}: '{}' is {}; only {} is supported", name, field,
          printable(given.dump()), value.dump());
  }
  for (const auto& [field, native] : {std::pair{"image_mean", "mean"}, {"image_std", "std"}})
    if (preprocessor.contains(field)) config[native] = preprocessor[field];
}

}  // namespace dalle1::weights
