#include "transformer/config.h"

#include <algorithm>
#include <type_traits>

#include "core/ops/elementwise.h"
#include "transformer/layer_entry.h"

namespace dalle1::transformer {
namespace {

// The one list of fields: reading, writing and comparing follow it.
template <typename Config, typename Visitor>
void visit_fields(Config& config, const Visitor& field) {
  field("layers", config.layers);
  field("width", config.width);
  field("heads", config.heads);
  field("text_length", config.text_length);
  field("text_vocab", config.text_vocab);
  field("grid", config.grid);
  field("image_vocab", config.image_vocab);
  field("mlp_ratio", config.mlp_ratio);
  field("activation", config.activation);
  field("sandwich_norm", config.sandwich_norm);
  field("head_norm", config.head_norm);
  field("qk_norm", config.qk_norm);
  field("rotary", config.rotary);
  field("embedding_norm", config.embedding_norm);
  field("norm_eps", config.norm_eps);
  field("start", config.start);
  field("start_token", config.start_token);
  field("layout", config.layout);
  field("loss", config.loss);
  field("image_weight", config.image_weight);
  field("dropout", config.dropout);
  field("schedule", config.schedule);
}

template <typename Config, typename Visitor>
void visit_schedule(Config& schedule, const Visitor& field) {
  field("kind", schedule.kind);
  field("list", schedule.list);
  field("kernel", schedule.kernel);
  field("wrap", schedule.wrap);
}

template <typename T>
void read_value(const nlohmann::json& json, const std::string& path, T& value) {
  bool fits = false;
  if constexpr (std::is_same_v<T, bool>)
    fits = json.is_boolean();
  else if constexpr (std::is_integral_v<T>)
    fits = json.is_number_integer();
  else if constexpr (std::is_floating_point_v<T>)
    fits = json.is_number();
  else
    fits = json.is_string();
  check(fits, ErrorKind::model, "transformer configuration: {} has the wrong type: {}", path, json.dump());
  if constexpr (std::is_same_v<T, int32_t>) {
    check(json >= 0 && json <= 1 << 30, ErrorKind::model, "transformer configuration: {} is {}", path,
          json.dump());
  }
  value = json.get<T>();
}

// Layers are given as "row" or as {"kind": "row"}.
void read_value(const nlohmann::json& json, const std::string& path, std::vector<std::string>& list) {
  check(json.is_array() && json.size() <= 4096, ErrorKind::model, "transformer configuration: {} is no list",
        path);
  list.clear();
  for (const auto& entry : json) {
    std::string kind;
    const bool object = entry.is_object() && entry.size() == 1 && entry.contains("kind");
    read_value(object ? entry["kind"] : entry, path, kind);
    list.push_back(kind);
  }
}

template <typename Config, typename Visit>
void read_object(const nlohmann::json& json, const std::string& path, Config& config, const Visit& visit) {
  check(json.is_object(), ErrorKind::model, "transformer configuration: {} is no JSON object",
        path.empty() ? "it" : path);
  size_t known = 0;
  std::vector<std::string> names;
  visit(config, [&](const char* name, auto& value) {
    names.emplace_back(name);
    const auto found = json.find(name);
    if (found == json.end()) return;
    ++known;
    const std::string full = path.empty() ? name : path + "." + name;
    if constexpr (std::is_same_v<std::decay_t<decltype(value)>, LayerSchedule>) {
      read_object(*found, full, value,
                  [](auto& schedule, const auto& field) { visit_schedule(schedule, field); });
    } else {
      read_value(*found, full, value);
    }
  });
  if (known == json.size()) return;
  for (const auto& [key, value] : json.items()) {
    check(std::find(names.begin(), names.end(), key) != names.end(), ErrorKind::model,
          "transformer configuration: unknown field '{}'", path.empty() ? key : path + "." + key);
  }
}

void check_range(const char* name, int64_t value, int64_t low, int64_t high) {
  check(value >= low && value <= high, ErrorKind::model,
        "transformer configuration: {} is {}; it must be {} to {}", name, value, low, high);
}

void check_choice(const char* name, const std::string& value, std::initializer_list<const char*> choices) {
  std::string list;
  for (const char* choice : choices) {
    if (value == choice) return;
    list += list.empty() ? choice : std::string(", ") + choice;
  }
  fail(ErrorKind::model, "transformer configuration: {} is '{}'; it must be one of {}", name, value, list);
}

EntryPlace place_of(const TransformerConfig& config) {
  return {config.text_length, config.grid, config.schedule.kernel, config.schedule.wrap};
}

std::string layer_kind(const TransformerConfig& config, int32_t layer) {
  const LayerSchedule& schedule = config.schedule;
  if (schedule.kind == "list") return schedule.list[layer];
  if (schedule.kind != "paper" && schedule.kind != "rudalle") return schedule.kind;
  const bool column = layer % 4 == 1, last = layer == config.layers - 1;
  if (last && !(column && schedule.kind == "rudalle")) return "conv";
  return column ? "column" : "row";
}

}  // namespace

void validate(const TransformerConfig& config) {
  check_range("layers", config.layers, 1, 4096);
  check_range("width", config.width, 1, 1 << 16);
  check_range("heads", config.heads, 1, config.width);
  check(config.width % config.heads == 0, ErrorKind::model,
        "transformer configuration: width {} is no multiple of {} heads", config.width, config.heads);
  check(!config.rotary || config.head_size() % 4 == 0, ErrorKind::model,
        "transformer configuration: rotary needs heads of a multiple of 4, not {}", config.head_size());
  check_range("text_length", config.text_length, 1, 4096);
  check_range("text_vocab", config.text_vocab, 1, 1 << 20);
  check_range("grid", config.grid, 1, 128);
  check_range("image_vocab", config.image_vocab, 1, 1 << 20);
  check_range("mlp_ratio", config.mlp_ratio, 1, 64);
  check_range("start_token", config.start_token, 0, config.text_vocab - 1);
  check(config.norm_eps > 0 && config.norm_eps < 1, ErrorKind::model,
        "transformer configuration: norm_eps is {}", config.norm_eps);
  check(config.dropout >= 0 && config.dropout < 1, ErrorKind::model,
        "transformer configuration: dropout is {}", config.dropout);
  check(config.image_weight > 0 && config.image_weight < 1e6f, ErrorKind::model,
        "transformer configuration: image_weight is {}", config.image_weight);
  check_choice("start", config.start, {"none", "prepended"});
  check_choice("layout", config.layout, {"plain", "bos_eos"});
  check_choice("loss", config.loss, {"paper", "rudalle_v3", "rudalle_v2"});
  check(config.prepended() == (config.loss == "rudalle_v2"), ErrorKind::model,
        "transformer configuration: the loss rudalle_v2 and a prepended start need each other");
  ops::activation_from_name(config.activation);
  const LayerSchedule& schedule = config.schedule;
  check_choice("schedule.kind", schedule.kind,
               {"paper", "rudalle", "dense", "row", "column", "conv", "list"});
  check_choice("schedule.wrap", schedule.wrap, {"raster", "none", "rudalle-v2"});
  check(schedule.kernel % 2 == 1 && schedule.kernel <= 255, ErrorKind::model,
        "transformer configuration: schedule.kernel is {}; it must be odd and at most 255", schedule.kernel);
  if (schedule.kind != "list") return;
  check(static_cast<int32_t>(schedule.list.size()) == config.layers, ErrorKind::model,
        "transformer configuration: schedule.list has {} entries for {} layers", schedule.list.size(),
        config.layers);
  for (const auto& entry : schedule.list) validate_entry(entry, place_of(config));
}

TransformerConfig config_from_json(const nlohmann::json& json) {
  TransformerConfig config;
  read_object(json, "", config, [](auto& c, const auto& field) { visit_fields(c, field); });
  validate(config);
  return config;
}

nlohmann::ordered_json to_json(const TransformerConfig& config) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  visit_fields(config, [&](const char* name, const auto& value) {
    if constexpr (std::is_same_v<std::decay_t<decltype(value)>, LayerSchedule>) {
      visit_schedule(value, [&](const char* inner, const auto& entry) {
        const bool empty_list = std::string_view(inner) == "list" && value.list.empty();
        if (!empty_list) json[name][inner] = entry;
      });
    } else if constexpr (std::is_same_v<std::decay_t<decltype(value)>, float>) {
      json[name] = nlohmann::ordered_json::parse(fmt::format("{}", value));  // 1e-05, not 9.99999974e-06
    } else {
      json[name] = value;
    }
  });
  return json;
}

AttentionPattern layer_pattern(const TransformerConfig& config, int32_t layer, int32_t text_slots) {
  check(text_slots >= 1 && text_slots <= config.text_length, ErrorKind::internal, "{} text slots of {}",
        text_slots, config.text_length);
  return pattern_of_entry(layer_kind(config, layer), place_of(config), text_slots);
}

std::vector<AttentionPattern> layer_patterns(const TransformerConfig& config, int32_t text_slots) {
  std::vector<AttentionPattern> patterns;
  for (int32_t layer = 0; layer < config.layers; ++layer) {
    patterns.push_back(layer_pattern(config, layer, text_slots));
  }
  return patterns;
}

std::vector<int64_t> fill_text_slots(const TransformerConfig& config, const std::vector<int32_t>& ids,
                                     const TextSlots& options) {
  std::vector<int64_t> slots;
  const bool framed = config.layout == "bos_eos";
  if (framed) {
    check(options.bos >= 0 && options.eos >= 0, ErrorKind::model,
          "this transformer puts bos and eos around the prompt, but its tokenizer has none");
    slots.push_back(options.bos);
  }
  slots.insert(slots.end(), ids.begin(), ids.end());
  if (framed) slots.push_back(options.eos);
  const auto length = static_cast<size_t>(config.text_length);
  check(
      slots.size() <= length || options.truncate, ErrorKind::input,
      "the prompt has {} tokens, {} more than the transformer's {} text slots; shorten it or pass --truncate",
      slots.size(), slots.size() - length, length);
  if (slots.size() > length) slots.resize(length);
  for (int64_t id : slots) {
    check(id >= 0 && id < config.text_vocab, ErrorKind::model,
          "the tokenizer gave id {}, but the transformer has {} text tokens; they do not belong together", id,
          config.text_vocab);
  }
  for (auto p = static_cast<int32_t>(slots.size()); p < config.text_length; ++p)
    slots.push_back(config.padding_token(p));
  return slots;
}

std::vector<int64_t> empty_text_slots(const TransformerConfig& config, const TextSlots& options) {
  return fill_text_slots(config, {}, options);
}

}  // namespace dalle1::transformer
