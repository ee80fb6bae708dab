#include "weights/dalle_pytorch_file.h"

#include <algorithm>
#include <cmath>

#include "core/nn/rotary_angles.h"
#include "weights/pack.h"
#include "weights/small_json.h"

namespace dalle1::weights {
namespace {

constexpr double largest_error = 0.01;  // of an angle that a file has in f32
constexpr std::string_view reversible_prefix = "transformer.layers.blocks.";

/// "transformer.layers.layers.3.0.fn.fn.to_qkv.weight", or "transformer.layers.blocks.3.f.net.fn..." of a
/// reversible model, as "3.0.to_qkv.weight": wrappers of one version or another are passed over.
std::optional<std::string> part_of_block(std::string_view name) {
  constexpr std::string_view layers = "transformer.layers.layers.", blocks = reversible_prefix;
  static_assert(layers.size() == blocks.size());
  if (!name.starts_with(layers) && !name.starts_with(blocks)) return {};
  std::string rest(name.substr(layers.size()));
  for (size_t at = rest.find(".fn."); at != rest.npos; at = rest.find(".fn.")) rest.erase(at, 3);
  for (const auto& [wrapped, plain] : {std::pair{".f.net.", ".0."}, {".g.net.", ".1."}})
    if (const size_t at = rest.find(wrapped); at != rest.npos) rest.replace(at, 7, plain);
  return rest;
}

}  // namespace

bool is_dalle_pytorch(const StateFile& file) {
  return file.has("to_logits.1.weight") && file.has("to_logits.0.weight") &&
         std::ranges::any_of(file.tensors, [](const RawTensor& tensor) {
           return tensor.name.starts_with("transformer.layers.") && tensor.name.ends_with(".to_qkv.weight");
         });
}

DallePytorchFile::DallePytorchFile(const StateFile& file) : file_(file), index_(file.tensors) {
  for (const RawTensor& tensor : file.tensors)
    if (auto name = part_of_block(tensor.name)) blocks_.emplace(std::move(*name), &tensor);
  rotary = index_.find("transformer.pos_emb");
  reversible = std::ranges::any_of(
      file.tensors, [](const RawTensor& tensor) { return tensor.name.starts_with(reversible_prefix); });
  sandwich = blocks_.contains("0.0.norm_out.weight");
  shares_embeddings = index_.find("text_emb.linear.weight");
  measure();
  if (rotary) check_rotary();
}

const nlohmann::json& DallePytorchFile::argument(const std::string& name,
                                                 const nlohmann::json& fallback) const {
  const auto found = file_.settings.find("hparams." + name);
  return found == file_.settings.end() || found->second.is_null() ? fallback : found->second;
}

int64_t DallePytorchFile::whole(const std::string& name, int64_t fallback) const {
  const nlohmann::json value = argument(name, fallback);
  check(value.is_number_integer() && value > 0 && value < (1 << 24), ErrorKind::model,
        "{}: its argument '{}' cannot be {}", file_.name, name, printable(value.dump()));
  return value.get<int64_t>();
}

bool DallePytorchFile::flag(const std::string& name) const {
  const nlohmann::json value = argument(name, false);
  check(value.is_boolean(), ErrorKind::model, "{}: its argument '{}' cannot be {}", file_.name, name,
        printable(value.dump()));
  return value.get<bool>();
}

const RawTensor& DallePytorchFile::tensor(const std::string& name) {
  const RawTensor* found = index_.find(name);
  check(found, ErrorKind::model, "{}: tensor '{}' is missing", file_.name, name);
  used_.insert(found);
  return *found;
}

const RawTensor& DallePytorchFile::block_tensor(int64_t layer, const std::string& name) {
  const auto found = blocks_.find(fmt::format("{}.{}", layer, name));
  check(found != blocks_.end(), ErrorKind::model, "{}: tensor '{}' of layer {} is missing", file_.name, name,
        layer);
  used_.insert(found->second);
  return *found->second;
}

int64_t DallePytorchFile::extent(const RawTensor& tensor, size_t axis) const {
  check(axis < tensor.shape.size(), ErrorKind::model, "{}: tensor '{}' has the shape {}", file_.name,
        printable(tensor.name), shape_text(tensor.shape));
  return tensor.shape[axis];
}

void DallePytorchFile::measure() {
  check(argument("sparse_attn", false) == false, ErrorKind::model,
        "{}: a transformer with 'sparse_attn', which is not supported", file_.name);
  while (blocks_.contains(fmt::format("{}.0.to_qkv.weight", layers))) ++layers;
  check(layers > 0, ErrorKind::model, "{}: its transformer has no layer 0", file_.name);
  width = extent(tensor("to_logits.0.weight"), 0);
  heads = whole("heads", 8);
  const int64_t rows = extent(block_tensor(0, "0.to_qkv.weight"), 0);
  head_size = rows / (3 * heads);
  check(head_size > 0 && rows == 3 * heads * head_size, ErrorKind::model,
        "{}: {} rows of queries, keys and values are not those of {} heads", file_.name, rows, heads);
  text = whole("text_seq_len", 256);
  text_classes =
      shares_embeddings ? whole("num_text_tokens", 10000) + text : extent(tensor("text_emb.weight"), 0);
  check(text_classes > text, ErrorKind::model, "{}: {} text embeddings with one for each of {} paddings",
        file_.name, text_classes, text);
  classes = extent(tensor("to_logits.1.weight"), 0);
  check(classes > text_classes, ErrorKind::model, "{}: {} classes, {} of which are the text's", file_.name,
        classes, text_classes);
  measure_grid();
}

void DallePytorchFile::measure_grid() {
  if (!rotary) {
    grid = extent(tensor("image_pos_emb.weights_0"), 1);
    return;
  }
  const int64_t cells = std::max<int64_t>(extent(tensor("transformer.pos_emb"), 1) - text - 1, 0);
  grid = std::llround(std::sqrt(static_cast<double>(cells)));
  check(grid > 0 && grid * grid == cells, ErrorKind::model,
        "{}: rotary positions of {} cells, which are no square", file_.name, cells);
}

// The file holds the angles that its transformer turns by; other versions had others.
void DallePytorchFile::check_rotary() {
  const RawTensor& table = tensor("transformer.pos_emb");
  const int64_t third = nn::dalle_pytorch_rotary_third(static_cast<int32_t>(head_size));
  check(head_size % 2 == 0 && third > 0, ErrorKind::model, "{}: rotary positions in heads of {} channels",
        file_.name, head_size);
  const auto turning = static_cast<size_t>(6 * third), pairs = static_cast<size_t>(head_size / 2);
  bool same = table.shape == std::vector<int64_t>{1, text + 1 + grid * grid, 6 * third};
  const std::vector<float> given = same ? to_floats(table) : std::vector<float>();
  const auto angles =
      same ? nn::dalle_pytorch_rotary_angles({static_cast<int32_t>(text + 1), static_cast<int32_t>(grid)},
                                             static_cast<int32_t>(head_size))
           : std::vector<double>();
  for (size_t i = 0; same && i < given.size(); ++i)  // each angle is there for both channels of its pair
    same = std::abs(given[i] - angles[i / turning * pairs + i % turning / 2]) < largest_error;
  check(same, ErrorKind::model,
        "{}: its rotary positions 'transformer.pos_emb' are those of another version of DALLE-pytorch, "
        "which is not supported",
        file_.name);
}

void DallePytorchFile::refuse_unused() const {
  std::string names;
  size_t count = 0;
  for (const RawTensor& tensor : file_.tensors)
    if (!used_.contains(&tensor) && ++count <= 10)
      names += (names.empty() ? "" : ", ") + printable(tensor.name);
  check(count == 0, ErrorKind::model, "{}: {} tensors that this format does not have: {}{}", file_.name,
        count, names, count > 10 ? ", ..." : "");
}

}  // namespace dalle1::weights
