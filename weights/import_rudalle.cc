// ru-dalle's transformers (github.com/ai-forever/ru-dalle), both conventions of its `hf_version`: a state
// dict whose configuration is the constructor's arguments.
#include "weights/import.h"

namespace dalle1::weights {
namespace {

constexpr NameRule rudalle_names[] = {
    {"text_embeddings.weight", "text_embedding.weight"},
    {"text_pos_embeddings.weight", "text_position.weight"},
    {"image_embeddings.weight", "image_embedding.weight"},
    {"image_row_embeddings.weight", "image_row.weight"},
    {"image_col_embeddings.weight", "image_column.weight"},
    {"transformer.layers.#.input_layernorm.*", "layers.#.attention_norm.*"},
    {"transformer.layers.#.attention.query_key_value.*", "layers.#.attention.qkv.*"},
    {"transformer.layers.#.attention.dense.*", "layers.#.attention.output.*"},
    {"transformer.layers.#.before_first_addition_layernorm.*", "layers.#.attention_post_norm.*"},
    {"transformer.layers.#.post_attention_layernorm.*", "layers.#.mlp_norm.*"},
    {"transformer.layers.#.mlp.dense_h_to_4h.*", "layers.#.mlp.up.*"},
    {"transformer.layers.#.mlp.dense_4h_to_h.*", "layers.#.mlp.down.*"},
    {"transformer.layers.#.before_second_addition_layernorm.*", "layers.#.mlp_post_norm.*"},
    {"transformer.final_layernorm.*", "final_norm.*"},
    {"to_logits.0.*", "head_norm.*"},
    {"to_logits.1.*", "head.*"},
    {"transformer.row_mask", ""},  // made anew from the schedule
    {"transformer.col_mask", ""},
    {"transformer.conv_mask", ""}};

bool is_rudalle(const StateFile& file) {
  return file.has("text_pos_embeddings.weight") && file.has("image_col_embeddings.weight") &&
         file.has("transformer.final_layernorm.weight");
}

int64_t whole(const std::string& source, const nlohmann::json& arguments, const char* key,
              int64_t fallback = 0) {
  auto found = arguments.find(key);
  if (found == arguments.end() && fallback > 0) return fallback;
  check(found != arguments.end() && found->is_number_integer() && *found > 0 && *found < 1'000'000'000,
        ErrorKind::model, "{}: the configuration lacks '{}', a positive whole number", source, key);
  return found->get<int64_t>();
}

nlohmann::json native_rudalle_config(const std::string& source, const nlohmann::json& arguments) {
  check(arguments.is_object(), ErrorKind::model, "{}: the configuration is no JSON object", source);
  const auto version = arguments.find("hf_version");
  const bool v2 = version != arguments.end() && *version == "v2";
  check(v2 || version == arguments.end() || *version == "v3", ErrorKind::model,
        "{}: hf_version in the configuration is neither \"v2\" nor \"v3\"", source);
  const int64_t text = whole(source, arguments, "text_seq_length", 128);
  return {{"layers", whole(source, arguments, "num_layers")},
          {"width", whole(source, arguments, "hidden_size")},
          {"heads", whole(source, arguments, "num_attention_heads")},
          {"text_length", text},
          {"text_vocab", whole(source, arguments, "vocab_size") - text},
          {"grid", whole(source, arguments, "image_tokens_per_dim", 32)},
          {"image_vocab", whole(source, arguments, "image_vocab_size", 16384)},
          {"mlp_ratio", 4},
          {"activation", "gelu_tanh"},
          {"sandwich_norm", arguments.value("cogview_sandwich_layernorm", false)},
          {"head_norm", true},
          {"norm_eps", 1e-5},
          {"start", v2 ? "prepended" : "none"},
          {"start_token", 2},
          {"layout", "bos_eos"},
          {"loss", v2 ? "rudalle_v2" : "rudalle_v3"},
          {"image_weight", arguments.value("loss_img_weight", 7)},
          {"dropout", arguments.value("output_dropout_prob", 0.1)},
          {"schedule", {{"kind", "rudalle"}, {"kernel", 11}, {"wrap", v2 ? "rudalle-v2" : "none"}}}};
}

Checkpoint convert_rudalle(const std::vector<StateFile>& files, const nlohmann::json& arguments) {
  Checkpoint result = part_from(files, "transformer", "rudalle");
  check(files.size() == 1, ErrorKind::model, "{}: a ru-dalle transformer is one file", result.source);
  // A preset already speaks the native language.
  result.config =
      arguments.contains("num_layers") ? native_rudalle_config(result.source, arguments) : arguments;
  result.tensors = rename_tensors(files, rudalle_names);
  return result;
}

}  // namespace

const Importer& rudalle_importer() {
  static constexpr Importer importer = {
      "rudalle", "transformer", true, "rudalle-malevich, rudalle-malevich-v2", is_rudalle, convert_rudalle};
  return importer;
}

}  // namespace dalle1::weights
