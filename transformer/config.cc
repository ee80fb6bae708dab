#include "transformer/config.h"

#include "core/config/fields.h"
#include "core/ops/elementwise.h"
#include "transformer/layer_entry.h"

namespace dalle1::transformer {
namespace {

constexpr int32_t most_width = 1 << 16;
constexpr std::string_view kDocument = "transformer configuration";
const config::Place kWhole = {ErrorKind::model};

// Layers are given as "row" or as {"kind": "row"}.
nlohmann::json with_plain_entries(nlohmann::json json) {
  const nlohmann::json::json_pointer place("/schedule/list");
  if (!json.is_object() || !json.contains(place) || !json[place].is_array()) return json;
  for (auto& entry : json[place])
    if (entry.is_object() && entry.size() == 1 && entry.contains("kind"))
      entry = nlohmann::json(entry["kind"]);
  return json;
}

EntryPlace place_of(const TransformerConfig& config) {
  return {config.text_in_masks(config.text_length), config.grid, config.schedule.kernel,
          config.schedule.wrap};
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

void LayerSchedule::visit(auto& self, auto& field) {
  field("kind", self.kind, config::one_of({"paper", "rudalle", "dense", "row", "column", "conv", "list"}));
  field("list", self.list, {.omit_empty = true});
  field("kernel", self.kernel, config::within(1, 255));
  field("wrap", self.wrap, config::one_of({"raster", "none", "corner", "rudalle-v2"}));
}

void TransformerConfig::visit(auto& self, auto& field) {
  field("layers", self.layers, config::within(1, 4096));
  field("width", self.width, config::within(1, most_width));
  field("heads", self.heads, config::within(1, self.width));
  field("head_width", self.head_width, {.range = {0, most_width}, .omit = self.head_width == 0});
  field("text_length", self.text_length, config::within(1, 4096));
  field("text_vocab", self.text_vocab, config::within(1, 1 << 20));
  field("grid", self.grid, config::within(1, 128));
  field("image_vocab", self.image_vocab, config::within(1, 1 << 20));
  field("mlp_ratio", self.mlp_ratio, config::within(1, 64));
  field("gated_mlp", self.gated_mlp, {.omit = !self.gated_mlp});
  field("activation", self.activation);
  field("reversible", self.reversible, {.omit = !self.reversible});
  field("token_shift", self.token_shift, {.omit = !self.token_shift});
  field("sandwich_norm", self.sandwich_norm);
  field("head_norm", self.head_norm);
  field("divide_by_max", self.divide_by_max, {.omit = !self.divide_by_max});
  field("qk_norm", self.qk_norm);
  field("rotary", self.rotary);
  field("rotary_kind", self.rotary_kind,
        {.choices = {"grid", "dalle_pytorch"}, .omit = self.rotary_kind == "grid"});
  field("embedding_norm", self.embedding_norm);
  field("norm_eps", self.norm_eps, config::between(0, 1));
  field("start", self.start, config::one_of({"none", "prepended", "text"}));
  field("start_token", self.start_token, config::within(0, self.text_vocab - 1));
  field("padding_id", self.padding_id, {.range = {-1, 1 << 20}, .omit = self.padding_id < 0});
  field("layout", self.layout, config::one_of({"plain", "bos_eos"}));
  field("loss", self.loss, config::one_of({"paper", "rudalle_v3", "rudalle_v2"}));
  field("image_weight", self.image_weight, config::between(0, 1e6));
  field("dropout", self.dropout, config::below_one());
  field("schedule", self.schedule);
}

void validate(const TransformerConfig& c) {
  config::named(kDocument, [&] {
    config::check_values(c, kWhole);
    check(c.head_width > 0 || c.width % c.heads == 0, ErrorKind::model, "width {} is no multiple of {} heads",
          c.width, c.heads);
    check(int64_t{c.heads} * c.head_size() <= most_width, ErrorKind::model,
          "{} heads of {} channels are more than {}", c.heads, c.head_size(), most_width);
    const int32_t unit = c.rotary_kind == "grid" ? 4 : 2;
    check(!c.rotary || c.head_size() % unit == 0, ErrorKind::model,
          "rotary needs heads of a multiple of {}, not {}", unit, c.head_size());
    check(!c.token_shift || (c.width % 4 == 0 && c.start != "prepended"), ErrorKind::model,
          "a token shift needs a width of a multiple of 4, not {}, and no prepended start", c.width);
    check(c.prepended() == (c.loss == "rudalle_v2"), ErrorKind::model,
          "the loss rudalle_v2 and a prepended start need each other");
    ops::activation_from_name(c.activation);
    const LayerSchedule& schedule = c.schedule;
    check(schedule.kernel % 2 == 1, ErrorKind::model, "schedule.kernel is {}; it must be odd",
          schedule.kernel);
    if (schedule.kind != "list") return;
    check(static_cast<int32_t>(schedule.list.size()) == c.layers, ErrorKind::model,
          "schedule.list has {} entries for {} layers", schedule.list.size(), c.layers);
    for (const auto& entry : schedule.list) validate_entry(entry, place_of(c));
  });
}

TransformerConfig config_from_json(const nlohmann::json& json) {
  TransformerConfig c;
  config::named(kDocument, [&] { config::read(with_plain_entries(json), c, kWhole); });
  validate(c);
  return c;
}

nlohmann::ordered_json to_json(const TransformerConfig& c) {
  return config::write<nlohmann::ordered_json>(c, config::Floats::shortest);
}

AttentionPattern layer_pattern(const TransformerConfig& config, int32_t layer, int32_t text_slots) {
  check(text_slots >= 1 && text_slots <= config.text_length, ErrorKind::internal, "{} text slots of {}",
        text_slots, config.text_length);
  return pattern_of_entry(layer_kind(config, layer), place_of(config), config.text_in_masks(text_slots));
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
  check(slots.size() <= length || options.truncate, ErrorKind::input,
        "the prompt has {} tokens, {} more than the transformer's {} text slots; shorten it or pass {}",
        slots.size(), slots.size() - length, length, OptionName{"truncate"});
  if (slots.size() > length) slots.resize(length);
  for (int64_t id : slots) {
    check(id >= 0 && id < config.text_vocab, ErrorKind::model,
          "the tokenizer gave id {}, but the transformer has {} text tokens; they do not belong together", id,
          config.text_vocab);
  }
  for (size_t p = 0; p < slots.size(); ++p)
    if (slots[p] == config.padding_id) slots[p] = config.padding_token(static_cast<int32_t>(p));
  for (auto p = static_cast<int32_t>(slots.size()); p < config.text_length; ++p)
    slots.push_back(config.padding_token(p));
  return slots;
}

std::vector<int64_t> empty_text_slots(const TransformerConfig& config, const TextSlots& options) {
  return fill_text_slots(config, {}, options);
}

}  // namespace dalle1::transformer
