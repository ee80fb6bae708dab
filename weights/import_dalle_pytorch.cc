// DALLE-pytorch (github.com/lucidrains/DALLE-pytorch): what its trainings save, a transformer and the
// DiscreteVAE that it draws for, beside their arguments. What differs only in how it is written down is
// settled here: the scale of a residual branch is multiplied into its last product, layers that share weights
// get copies, queries, keys and values have no bias.
#include <algorithm>
#include <set>

#include "weights/file_bytes.h"
#include "weights/import.h"
#include "weights/name_prefix.h"
#include "weights/pack.h"
#include "weights/small_json.h"

namespace dalle1::weights {
namespace {

bool is_dalle_pytorch(const StateFile& file) {
  return file.has("to_logits.1.weight") && file.has("to_logits.0.weight") &&
         std::ranges::any_of(file.tensors, [](const RawTensor& tensor) {
           return tensor.name.starts_with("transformer.layers.") && tensor.name.ends_with(".to_qkv.weight");
         });
}

RawTensor floats_as(std::string name, std::vector<int64_t> shape, const std::vector<float>& values) {
  std::string bytes(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
  FileBytes held = bytes_in_memory(name, std::move(bytes));
  return {std::move(name), DType::f32, std::move(shape), held.bytes, held.owner};
}

/// Tensors and arguments of one file.
class DallePytorchFile {
 public:
  explicit DallePytorchFile(const StateFile& file) : file_(file), index_(file.tensors) {
    for (const RawTensor& tensor : file.tensors)
      if (auto name = part_of_block(tensor.name)) blocks_.emplace(std::move(*name), &tensor);
  }

  Checkpoint convert() {
    Checkpoint result = part_from({file_}, "transformer", "dalle-pytorch");
    refuse_unsupported();
    describe(result.config);
    add_embeddings(result);
    for (int64_t layer = 0; layer < result.config["layers"]; ++layer) add_block(result, layer);
    take(result, "to_logits.0.weight", "final_norm.weight");
    take(result, "to_logits.0.bias", "final_norm.bias");
    take(result, "to_logits.1.weight", "head.weight");
    take(result, "to_logits.1.bias", "head.bias");
    refuse_unused();
    return result;
  }

 private:
  /// "transformer.layers.layers.3.0.fn.fn.to_qkv.weight" as "3.0.to_qkv.weight": wrappers of one version or
  /// another are passed over.
  static std::optional<std::string> part_of_block(std::string_view name) {
    constexpr std::string_view prefix = "transformer.layers.layers.";
    if (!name.starts_with(prefix)) return {};
    std::string rest(name.substr(prefix.size()));
    for (size_t at = rest.find(".fn."); at != rest.npos; at = rest.find(".fn.")) rest.erase(at, 3);
    return rest;
  }

  const nlohmann::json& argument(const std::string& name, const nlohmann::json& fallback) const {
    const auto found = file_.settings.find("hparams." + name);
    return found == file_.settings.end() || found->second.is_null() ? fallback : found->second;
  }

  int64_t whole(const std::string& name, int64_t fallback) const {
    const nlohmann::json value = argument(name, fallback);
    check(value.is_number_integer() && value > 0 && value < (1 << 24), ErrorKind::model,
          "{}: its argument '{}' cannot be {}", file_.name, name, printable(value.dump()));
    return value.get<int64_t>();
  }

  const RawTensor& tensor(const std::string& name) {
    const RawTensor* found = index_.find(name);
    check(found, ErrorKind::model, "{}: tensor '{}' is missing", file_.name, name);
    used_.insert(found);
    return *found;
  }
  const RawTensor& block_tensor(int64_t layer, const std::string& name) {
    const auto found = blocks_.find(fmt::format("{}.{}", layer, name));
    check(found != blocks_.end(), ErrorKind::model, "{}: tensor '{}' of layer {} is missing", file_.name,
          name, layer);
    used_.insert(found->second);
    return *found->second;
  }
  int64_t extent(const RawTensor& tensor, size_t axis) const {
    check(axis < tensor.shape.size(), ErrorKind::model, "{}: tensor '{}' has the shape {}", file_.name,
          printable(tensor.name), shape_text(tensor.shape));
    return tensor.shape[axis];
  }

  void describe(nlohmann::json& config) {
    int64_t layers = 0;
    while (blocks_.contains(fmt::format("{}.0.to_qkv.weight", layers))) ++layers;
    check(layers > 0, ErrorKind::model, "{}: its transformer has no layer 0", file_.name);
    const int64_t width = extent(tensor("to_logits.0.weight"), 0), text = whole("text_seq_len", 256);
    const int64_t text_classes = extent(tensor("text_emb.weight"), 0);
    check(text_classes > text, ErrorKind::model, "{}: {} text embeddings with one for each of {} paddings",
          file_.name, text_classes, text);
    config = {{"layers", layers},
              {"width", width},
              {"heads", whole("heads", 8)},
              {"text_length", text},
              {"text_vocab", text_classes - text},
              {"grid", extent(tensor("image_pos_emb.weights_0"), 1)},
              {"image_vocab", extent(tensor("image_emb.weight"), 0)},
              {"mlp_ratio", extent(block_tensor(0, "1.net.0.weight"), 0) / std::max<int64_t>(2 * width, 1)},
              {"activation", "gelu"},
              {"gated_mlp", true},
              {"start", "text"},
              {"start_token", 0},
              {"padding_id", 0},
              {"loss", "rudalle_v2"},
              {"image_weight", argument("loss_img_weight", 7)},
              {"schedule", {{"kind", "list"}, {"kernel", 5}, {"wrap", "corner"}, {"list", entries(layers)}}}};
  }

  /// What each layer sees; its types are taken in turn.
  nlohmann::json entries(int64_t layers) const {
    nlohmann::json types = argument("attn_types", nlohmann::json::array({"full"}));
    if (types.is_string()) types = nlohmann::json::array({types});
    check(types.is_array() && !types.empty(), ErrorKind::model, "{}: its argument 'attn_types' cannot be {}",
          file_.name, printable(types.dump()));
    nlohmann::json list = nlohmann::json::array();
    for (int64_t layer = 0; layer < layers; ++layer) {
      const nlohmann::json& type = types[static_cast<size_t>(layer) % types.size()];
      const std::string entry = type == "full"        ? "dense"
                                : type == "axial_row" ? "axial_row"
                                : type == "axial_col" ? "column"
                                : type == "conv_like" ? "conv"
                                                      : "";
      check(!entry.empty(), ErrorKind::model,
            "{}: attention of the type {}; full, axial_row, axial_col and conv_like are supported",
            file_.name, printable(type.dump()));
      list.push_back(entry);
    }
    return list;
  }

  /// Arguments that make another model than the configuration has words for.
  void refuse_unsupported() {
    const auto without = [&](const char* name) {
      check(argument(name, false) == false, ErrorKind::model,
            "{}: a transformer with '{}', which is not supported", file_.name, name);
    };
    for (const char* name : {"rotary_emb", "shift_tokens", "reversible", "stable", "sandwich_norm",
                             "share_input_output_emb", "sparse_attn"})
      without(name);
    for (const char* name : {"shared_attn_ids", "shared_ff_ids"})
      check(argument(name, nullptr).is_null(), ErrorKind::model,
            "{}: a transformer with '{}', which is not supported", file_.name, name);
    const int64_t width = extent(tensor("to_logits.0.weight"), 0),
                  rows = extent(block_tensor(0, "0.to_qkv.weight"), 0);
    check(rows == 3 * width, ErrorKind::model,
          "{}: queries, keys and values of {} channels in a transformer of {}; only as many as it has are "
          "supported",
          file_.name, rows / 3, width);
  }

  void take(Checkpoint& result, const std::string& from, const std::string& to) {
    add(result, tensor(from), to);
  }
  static void add(Checkpoint& result, RawTensor tensor, std::string name) {
    tensor.name = std::move(name);
    result.tensors.push_back(std::move(tensor));
  }

  void add_embeddings(Checkpoint& result) {
    take(result, "text_emb.weight", "text_embedding.weight");
    take(result, "text_pos_emb.weight", "text_position.weight");
    take(result, "image_emb.weight", "image_embedding.weight");
    int axis = 0;
    for (const char* name : {"image_row.weight", "image_column.weight"}) {
      RawTensor place = tensor(fmt::format("image_pos_emb.weights_{}", axis));
      check(place.shape.size() == 4, ErrorKind::model, "{}: tensor '{}' has the shape {}", file_.name,
            printable(place.name), shape_text(place.shape));
      place.shape = {place.shape[1 + static_cast<size_t>(axis++)], place.shape[3]};
      add(result, place, name);
    }
  }

  void add_block(Checkpoint& result, int64_t layer) {
    const std::string prefix = fmt::format("layers.{}.", layer);
    for (const char* kind : {"weight", "bias"}) {
      add(result, block_tensor(layer, fmt::format("0.norm.{}", kind)),
          fmt::format("{}attention_norm.{}", prefix, kind));
      add(result, block_tensor(layer, fmt::format("1.norm.{}", kind)),
          fmt::format("{}mlp_norm.{}", prefix, kind));
      add(result, block_tensor(layer, fmt::format("1.net.0.{}", kind)),
          fmt::format("{}mlp.up.{}", prefix, kind));
      result.tensors.push_back(scaled(block_tensor(layer, fmt::format("0.to_out.0.{}", kind)),
                                      block_tensor(layer, "0.scale"),
                                      fmt::format("{}attention.output.{}", prefix, kind)));
      result.tensors.push_back(scaled(block_tensor(layer, fmt::format("1.net.3.{}", kind)),
                                      block_tensor(layer, "1.scale"),
                                      fmt::format("{}mlp.down.{}", prefix, kind)));
    }
    const RawTensor& qkv = block_tensor(layer, "0.to_qkv.weight");
    add(result, qkv, prefix + "attention.qkv.weight");
    result.tensors.push_back(floats_as(prefix + "attention.qkv.bias", {extent(qkv, 0)},
                                       std::vector<float>(static_cast<size_t>(extent(qkv, 0)))));
  }

  /// Each row times its element of the branch's scale.
  RawTensor scaled(const RawTensor& tensor, const RawTensor& scale, const std::string& name) const {
    std::vector<float> values = to_floats(tensor, nullptr);
    const std::vector<float> factors = to_floats(scale, nullptr);
    check(
        !tensor.shape.empty() && tensor.shape[0] == static_cast<int64_t>(factors.size()) && !factors.empty(),
        ErrorKind::model, "{}: '{}' {} is scaled by {} numbers", file_.name, printable(tensor.name),
        shape_text(tensor.shape), factors.size());
    const size_t columns = values.size() / factors.size();
    for (size_t i = 0; i < values.size(); ++i) values[i] *= factors[i / columns];
    return floats_as(name, tensor.shape, values);
  }

  void refuse_unused() const {
    std::string names;
    size_t count = 0;
    for (const RawTensor& tensor : file_.tensors)
      if (!used_.contains(&tensor) && ++count <= 10)
        names += (names.empty() ? "" : ", ") + printable(tensor.name);
    check(count == 0, ErrorKind::model, "{}: {} tensors that this format does not have: {}{}", file_.name,
          count, names, count > 10 ? ", ..." : "");
  }

  const StateFile& file_;
  TensorIndex index_;
  std::map<std::string, const RawTensor*> blocks_;
  std::set<const RawTensor*> used_;
};

Checkpoint convert_dalle_pytorch(const std::vector<StateFile>& files, const nlohmann::json&) {
  check(files.size() == 1, ErrorKind::model, "{}: a DALLE-pytorch transformer is one file", source_of(files));
  return DallePytorchFile(files[0]).convert();
}

bool is_discrete_vae(const StateFile& file) {
  return file.has("codebook.weight") && file.has("encoder.0.0.weight") &&
         file.has("decoder.0.weight") + file.has("decoder.0.0.weight") > 0;
}

Checkpoint convert_discrete_vae(const std::vector<StateFile>& files, const nlohmann::json&) {
  Checkpoint result = part_from(files, "dvae", "dalle-pytorch-vae");
  check(files.size() == 1, ErrorKind::model, "{}: a DiscreteVAE is one file", result.source);
  result.tensors = files[0].tensors;
  const TensorIndex index(result.tensors);
  const std::string& source = result.source;
  const int64_t blocks = std::ranges::count_if(result.tensors, [](const RawTensor& tensor) {
    return tensor.name.starts_with("encoder.") && tensor.name.ends_with(".net.0.weight");
  });
  int64_t layers = 0;
  while (index.find(fmt::format("encoder.{}.0.weight", layers))) ++layers;
  result.config = {{"kind", "discrete_vae"},
                   {"channels", extent_of(index, source, "encoder.0.0.weight", 1)},
                   {"hidden", extent_of(index, source, "encoder.0.0.weight", 0)},
                   {"codebook_dim", extent_of(index, source, "codebook.weight", 1)},
                   {"codes", extent_of(index, source, "codebook.weight", 0)},
                   {"layers", layers},
                   {"resnet_blocks", blocks}};
  return result;
}

}  // namespace

const Importer& dalle_pytorch_importer() {
  static constexpr Importer importer = {"dalle-pytorch",  "transformer",        false, "",
                                        is_dalle_pytorch, convert_dalle_pytorch};
  return importer;
}

const Importer& discrete_vae_importer() {
  static constexpr Importer importer = {"dalle-pytorch-vae", "dvae", false, "", is_discrete_vae,
                                        convert_discrete_vae};
  return importer;
}

std::vector<StateFile> parts_in(StateFile file) {
  if (!is_dalle_pytorch(file)) return {std::move(file)};
  const StateFile vae = tensors_under(file, "vae");
  std::erase_if(file.tensors, [](const RawTensor& tensor) { return tensor.name.starts_with("vae."); });
  std::vector<StateFile> parts{std::move(file)};
  // OpenAI's dVAE is in two halves there.
  for (const char* half : {"enc", "dec"}) {
    StateFile part = tensors_under(vae, half);
    if (!part.tensors.empty()) parts.push_back(std::move(part));
  }
  if (parts.size() == 1 && !vae.tensors.empty()) parts.push_back(vae);
  return parts;
}

}  // namespace dalle1::weights
