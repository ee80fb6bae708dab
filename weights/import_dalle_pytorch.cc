// DALLE-pytorch (github.com/lucidrains/DALLE-pytorch): what its trainings save, a transformer and the dVAE
// that it draws for, beside their arguments. What differs only in how it is written down is settled here: the
// scale of a residual branch is multiplied into what ends it, what shares weights (layers, embeddings with
// the head) gets copies, queries, keys and values have no bias, and channels that turn together, neighbours
// there, are half a head apart.
#include "weights/dalle_pytorch_file.h"
#include "weights/file_bytes.h"
#include "weights/import.h"
#include "weights/name_prefix.h"
#include "weights/pack.h"
#include "weights/small_json.h"

namespace dalle1::weights {
namespace {

RawTensor floats_as(std::string name, std::vector<int64_t> shape, const std::vector<float>& values) {
  std::string bytes(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
  FileBytes held = bytes_in_memory(name, std::move(bytes));
  return {std::move(name), DType::f32, std::move(shape), held.bytes, held.owner};
}

/// One file on its way.
class DallePytorchImport {
 public:
  explicit DallePytorchImport(const StateFile& file) : file_(file) {}

  void convert(Checkpoint& result) {
    describe(result.config);
    add_embeddings(result);
    add_positions(result);
    for (int64_t layer = 0; layer < file_.layers; ++layer) add_block(result, layer);
    take(result, "to_logits.0.weight", "final_norm.weight");
    take(result, "to_logits.0.bias", "final_norm.bias");
    take(result, "to_logits.1.weight", "head.weight");
    take(result, "to_logits.1.bias", "head.bias");
    file_.refuse_unused();
  }

 private:
  void describe(nlohmann::json& config) {
    config = {{"layers", file_.layers},
              {"width", file_.width},
              {"heads", file_.heads},
              {"text_length", file_.text},
              {"text_vocab", file_.text_classes - file_.text},
              {"grid", file_.grid},
              {"image_vocab", file_.classes - file_.text_classes},
              {"mlp_ratio", file_.extent(file_.block_tensor(0, "1.net.0.weight"), 0) /
                                std::max<int64_t>(2 * file_.width, 1)},
              {"activation", "gelu"},
              {"gated_mlp", true},
              {"start", "text"},
              {"start_token", 0},
              {"padding_id", 0},
              {"loss", "rudalle_v2"},
              {"image_weight", file_.argument("loss_img_weight", 7)},
              {"schedule", {{"kind", "list"}, {"kernel", 5}, {"wrap", "corner"}, {"list", entries()}}}};
    if (file_.heads * file_.head_size != file_.width) config["head_width"] = file_.head_size;
    if (file_.rotary) config.update({{"rotary", true}, {"rotary_kind", "dalle_pytorch"}});
    if (file_.sandwich) config["sandwich_norm"] = true;
    if (file_.reversible) config["reversible"] = true;
    if (file_.flag("shift_tokens")) config["token_shift"] = true;
    if (file_.flag("stable")) config["divide_by_max"] = true;
  }

  /// What each layer sees; its types are taken in turn.
  nlohmann::json entries() const {
    nlohmann::json types = file_.argument("attn_types", nlohmann::json::array({"full"}));
    if (types.is_string()) types = nlohmann::json::array({types});
    check(types.is_array() && !types.empty(), ErrorKind::model, "{}: its argument 'attn_types' cannot be {}",
          file_.name(), printable(types.dump()));
    nlohmann::json list = nlohmann::json::array();
    for (int64_t layer = 0; layer < file_.layers; ++layer) {
      const nlohmann::json& type = types[static_cast<size_t>(layer) % types.size()];
      const std::string entry = type == "full"        ? "dense"
                                : type == "axial_row" ? "axial_row"
                                : type == "axial_col" ? "column"
                                : type == "conv_like" ? "conv"
                                                      : "";
      check(!entry.empty(), ErrorKind::model,
            "{}: attention of the type {}; full, axial_row, axial_col and conv_like are supported",
            file_.name(), printable(type.dump()));
      list.push_back(entry);
    }
    return list;
  }

  void take(Checkpoint& result, const std::string& from, const std::string& to) {
    add(result, file_.tensor(from), to);
  }
  static void add(Checkpoint& result, RawTensor tensor, std::string name) {
    tensor.name = std::move(name);
    result.tensors.push_back(std::move(tensor));
  }

  void add_embeddings(Checkpoint& result) {
    if (!file_.shares_embeddings) {
      take(result, "text_emb.weight", "text_embedding.weight");
      take(result, "image_emb.weight", "image_embedding.weight");
      return;
    }
    for (const char* part : {"text", "image"})
      for (const char* kind : {"weight", "bias"}) file_.tensor(fmt::format("{}_emb.linear.{}", part, kind));
    add(result, rows_of_head(0, file_.text_classes), "text_embedding.weight");
    add(result, rows_of_head(file_.text_classes, file_.classes), "image_embedding.weight");
  }

  RawTensor rows_of_head(int64_t begin, int64_t end) {
    RawTensor rows = file_.tensor("to_logits.1.weight");
    const auto row_bytes = rows.bytes.size() / static_cast<size_t>(file_.classes);
    rows.bytes = rows.bytes.subspan(static_cast<size_t>(begin) * row_bytes,
                                    static_cast<size_t>(end - begin) * row_bytes);
    rows.shape[0] = end - begin;
    return rows;
  }

  /// Embeddings of places; with rotary positions there are none.
  void add_positions(Checkpoint& result) {
    constexpr const char* names[] = {"image_row.weight", "image_column.weight"};
    if (file_.rotary) {
      result.tensors.push_back(zeros("text_position.weight", {file_.text + 1, file_.width}));
      for (const char* name : names) result.tensors.push_back(zeros(name, {file_.grid, file_.width}));
      return;
    }
    take(result, "text_pos_emb.weight", "text_position.weight");
    for (size_t axis = 0; axis < 2; ++axis) {
      RawTensor place = file_.tensor(fmt::format("image_pos_emb.weights_{}", axis));
      check(place.shape.size() == 4, ErrorKind::model, "{}: tensor '{}' has the shape {}", file_.name(),
            printable(place.name), shape_text(place.shape));
      place.shape = {place.shape[1 + axis], place.shape[3]};
      add(result, place, names[axis]);
    }
  }
  static RawTensor zeros(const std::string& name, const std::vector<int64_t>& shape) {
    return floats_as(name, shape, std::vector<float>(static_cast<size_t>(checked_numel(shape))));
  }

  void add_block(Checkpoint& result, int64_t layer) {
    const std::string prefix = fmt::format("layers.{}.", layer);
    const RawTensor& qkv = file_.block_tensor(layer, "0.to_qkv.weight");
    add(result, pairs_apart(qkv, file_.width), prefix + "attention.qkv.weight");
    result.tensors.push_back(zeros(prefix + "attention.qkv.bias", {file_.extent(qkv, 0)}));
    for (const char* kind : {"weight", "bias"}) {
      add(result, file_.block_tensor(layer, fmt::format("0.norm.{}", kind)),
          fmt::format("{}attention_norm.{}", prefix, kind));
      add(result, file_.block_tensor(layer, fmt::format("1.norm.{}", kind)),
          fmt::format("{}mlp_norm.{}", prefix, kind));
      add(result, file_.block_tensor(layer, fmt::format("1.net.0.{}", kind)),
          fmt::format("{}mlp.up.{}", prefix, kind));
      for (int branch : {0, 1}) end_branch(result, layer, branch, kind);
    }
  }

  /// The last product of a branch, or the norm behind it, times the branch's scale.
  void end_branch(Checkpoint& result, int64_t layer, int branch, const std::string& kind) {
    const std::string prefix = fmt::format("layers.{}.", layer);
    const RawTensor& scale = file_.block_tensor(layer, fmt::format("{}.scale", branch));
    RawTensor last = file_.block_tensor(layer, (branch ? "1.net.3." : "0.to_out.0.") + kind);
    if (branch == 0 && kind == "weight") last = pairs_apart(last, 1);
    const std::string name = prefix + (branch ? "mlp.down." : "attention.output.") + kind;
    if (!file_.sandwich) return result.tensors.push_back(scaled(last, scale, name));
    add(result, last, name);
    result.tensors.push_back(scaled(file_.block_tensor(layer, fmt::format("{}.norm_out.{}", branch, kind)),
                                    scale,
                                    prefix + (branch ? "mlp_post_norm." : "attention_post_norm.") + kind));
  }

  /// Channels of heads, `inner` numbers each, as ops::rotary wants them: those of each head that are even
  /// first. As they are where nothing turns.
  RawTensor pairs_apart(const RawTensor& tensor, int64_t inner) const {
    if (!file_.rotary) return tensor;
    const std::vector<float> from = to_floats(tensor);
    const auto run = static_cast<size_t>(inner), size = static_cast<size_t>(file_.head_size);
    check(from.size() % (run * size) == 0, ErrorKind::model, "{}: tensor '{}' has the shape {}", file_.name(),
          printable(tensor.name), shape_text(tensor.shape));
    std::vector<float> to;
    for (size_t head = 0; head < from.size(); head += size * run)
      for (size_t i = 0; i < size; ++i) {
        const size_t channel = i < size / 2 ? 2 * i : 2 * (i - size / 2) + 1;
        const auto first = from.begin() + static_cast<std::ptrdiff_t>(head + channel * run);
        to.insert(to.end(), first, first + inner);
      }
    return floats_as(tensor.name, tensor.shape, to);
  }

  /// Each row times its element of the branch's scale.
  RawTensor scaled(const RawTensor& tensor, const RawTensor& scale, const std::string& name) const {
    std::vector<float> values = to_floats(tensor, nullptr);
    const std::vector<float> factors = to_floats(scale, nullptr);
    check(
        !tensor.shape.empty() && tensor.shape[0] == static_cast<int64_t>(factors.size()) && !factors.empty(),
        ErrorKind::model, "{}: '{}' {} is scaled by {} numbers", file_.name(), printable(tensor.name),
        shape_text(tensor.shape), factors.size());
    const size_t columns = values.size() / factors.size();
    for (size_t i = 0; i < values.size(); ++i) values[i] *= factors[i / columns];
    return floats_as(name, tensor.shape, values);
  }

  DallePytorchFile file_;
};

Checkpoint convert_dalle_pytorch(const std::vector<StateFile>& files, const nlohmann::json&) {
  check(files.size() == 1, ErrorKind::model, "{}: a DALLE-pytorch transformer is one file", source_of(files));
  Checkpoint result = part_from(files, "transformer", "dalle-pytorch");
  DallePytorchImport(files[0]).convert(result);
  return result;
}

}  // namespace

const Importer& dalle_pytorch_importer() {
  static constexpr Importer importer = {"dalle-pytorch",  "transformer",        false, "",
                                        is_dalle_pytorch, convert_dalle_pytorch};
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
