#include "weights/open_clip_config.h"

#include <map>
#include <string_view>

#include "core/error.h"
#include "weights/small_json.h"

namespace dalle1::weights {
namespace {

using nlohmann::json;

// Fields that only change their name; an empty one decides nothing that matters here.
using Names = std::map<std::string_view, std::string_view>;
const Names model_names{{"embed_dim", "embed_dim"}, {"init_logit_scale", ""}};
const Names vision_names{{"image_size", "image_resolution"},
                         {"layers", "vision_layers"},
                         {"width", "vision_width"},
                         {"patch_size", "vision_patch_size"},
                         {"patch_dropout", ""}};  // of training
const Names text_names{{"context_length", "context_length"},
                       {"vocab_size", "vocab_size"},
                       {"width", "transformer_width"},
                       {"layers", "transformer_layers"}};
const Names preprocess_names{{"mean", "mean"}, {"std", "std"}, {"size", ""}};

/// One object of the configuration, whose fields are taken one after the other.
class Section {
 public:
  Section(const std::string& file, std::string name, json object)
      : file_(file), name_(std::move(name)), rest_(std::move(object)) {
    check(rest_.is_object(), ErrorKind::model, "{}: '{}' is not an object", file_, name_);
  }

  json take(const char* field, json fallback) {
    if (!rest_.contains(field)) return fallback;
    json value = rest_[field];
    rest_.erase(field);
    return value;
  }
  int64_t whole(const char* field, int64_t fallback) {
    const json value = take(field, fallback);
    check(value.is_number_integer() && value > 0 && value <= (1 << 20), ErrorKind::model,
          "{}: '{}.{}' cannot be {}", file_, name_, field, value.dump());
    return value.get<int64_t>();
  }
  /// Hidden channels of MLPs, cut off as open_clip does it.
  int64_t mlp_width(int64_t width) {
    const json ratio = take("mlp_ratio", 4.0);
    check(ratio.is_number() && ratio > 0 && ratio <= 1024, ErrorKind::model,
          "{}: '{}.mlp_ratio' cannot be {}", file_, name_, ratio.dump());
    return static_cast<int64_t>(static_cast<double>(width) * ratio.get<double>());
  }
  /// A field of which this program has one value only.
  void only(const char* field, const json& value) {
    const json given = take(field, value);
    check(given == value, ErrorKind::model, "{}: '{}.{}' is {}; only {} is supported", file_, name_, field,
          printable(given.dump()), value.dump());
  }
  int64_t peek_width() const {
    return rest_.contains("width") && rest_["width"].is_number_integer() ? rest_["width"].get<int64_t>() : 0;
  }
  void rename_rest(const Names& names, json& out) {
    for (const auto& [field, value] : rest_.items()) {
      const auto known = names.find(field);
      check(known != names.end(), ErrorKind::model,
            "{}: unknown field '{}.{}': it belongs to an architecture that is not supported", file_, name_,
            printable(field));
      if (!known->second.empty()) out[std::string(known->second)] = value;
    }
  }

 private:
  const std::string& file_;
  std::string name_;
  json rest_;
};

void read_vision(Section vision, json& out) {
  const json layers = vision.take("layers", 12);
  out["vision_layers"] = layers;
  const int64_t width = vision.peek_width() > 0 ? vision.peek_width() : 768;
  const int64_t channels = layers.is_array() ? 32 * width : width;
  out["vision_heads"] = channels / vision.whole("head_width", 64);
  if (!layers.is_array()) out["vision_mlp_width"] = vision.mlp_width(width);
  vision.rename_rest(vision_names, out);
}

void read_text(Section text, json& out) {
  const int64_t width = text.peek_width() > 0 ? text.peek_width() : 512;
  out["transformer_heads"] = text.whole("heads", 8);
  out["transformer_mlp_width"] = text.mlp_width(width);
  text.rename_rest(text_names, out);
}

void read_preprocessing(Section preprocessing, json& out) {
  preprocessing.only("mode", "RGB");
  preprocessing.only("interpolation", "bicubic");
  preprocessing.only("resize_mode", "shortest");
  preprocessing.take("fill_color", 0);  // of no use where the shortest side is fitted
  preprocessing.rename_rest(preprocess_names, out);
}

}  // namespace

bool is_open_clip_config(const json& config) {
  return config.is_object() && (config.contains("vision_cfg") || config.contains("model_cfg"));
}

json from_open_clip(const std::string& name, const json& config) {
  json out{{"kind", "openai"}};
  Section whole(name, "open_clip's configuration", config);
  Section model =
      config.contains("model_cfg") ? Section(name, "model_cfg", whole.take("model_cfg", {})) : whole;
  if (config.contains("model_cfg")) {
    read_preprocessing(Section(name, "preprocess_cfg", whole.take("preprocess_cfg", json::object())), out);
    whole.rename_rest({}, out);
  }
  out["activation"] = model.take("quick_gelu", false) == true ? "quick_gelu" : "gelu";
  model.only("custom_text", false);
  read_vision(Section(name, "vision_cfg", model.take("vision_cfg", json::object())), out);
  read_text(Section(name, "text_cfg", model.take("text_cfg", json::object())), out);
  model.rename_rest(model_names, out);
  return out;
}

}  // namespace dalle1::weights
