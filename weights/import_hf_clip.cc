// Hugging Face's CLIPModel (transformers, modeling_clip.py): OpenAI's CLIP under other names, with queries,
// keys and values apart and projections transposed. It becomes a file of OpenAI's names first.
#include "weights/file_bytes.h"
#include "weights/import.h"
#include "weights/small_json.h"

namespace dalle1::weights {
namespace {

constexpr NameRule hf_clip_names[] = {
    {"logit_scale", "logit_scale"},
    {"text_model.embeddings.position_ids", ""},  // 0, 1, 2, ..., kept by older versions
    {"vision_model.embeddings.position_ids", ""},
    {"text_model.embeddings.token_embedding.weight", "token_embedding.weight"},
    {"text_model.embeddings.position_embedding.weight", "positional_embedding"},
    {"text_model.encoder.layers.#.self_attn.*", "transformer.resblocks.#.attn.*"},
    {"text_model.encoder.layers.#.layer_norm1.*", "transformer.resblocks.#.ln_1.*"},
    {"text_model.encoder.layers.#.layer_norm2.*", "transformer.resblocks.#.ln_2.*"},
    {"text_model.encoder.layers.#.mlp.fc1.*", "transformer.resblocks.#.mlp.c_fc.*"},
    {"text_model.encoder.layers.#.mlp.fc2.*", "transformer.resblocks.#.mlp.c_proj.*"},
    {"text_model.final_layer_norm.*", "ln_final.*"},
    {"text_projection.weight", "text_projection"},
    {"vision_model.embeddings.class_embedding", "visual.class_embedding"},
    {"vision_model.embeddings.patch_embedding.weight", "visual.conv1.weight"},
    {"vision_model.embeddings.position_embedding.weight", "visual.positional_embedding"},
    {"vision_model.pre_layrnorm.*", "visual.ln_pre.*"},
    {"vision_model.post_layernorm.*", "visual.ln_post.*"},
    {"vision_model.encoder.layers.#.self_attn.*", "visual.transformer.resblocks.#.attn.*"},
    {"vision_model.encoder.layers.#.layer_norm1.*", "visual.transformer.resblocks.#.ln_1.*"},
    {"vision_model.encoder.layers.#.layer_norm2.*", "visual.transformer.resblocks.#.ln_2.*"},
    {"vision_model.encoder.layers.#.mlp.fc1.*", "visual.transformer.resblocks.#.mlp.c_fc.*"},
    {"vision_model.encoder.layers.#.mlp.fc2.*", "visual.transformer.resblocks.#.mlp.c_proj.*"},
    {"visual_projection.weight", "visual.proj"}};

bool is_hf_clip(const StateFile& file) {
  return file.has("text_model.embeddings.token_embedding.weight") && file.has("visual_projection.weight") &&
         file.has("vision_model.embeddings.patch_embedding.weight");
}

RawTensor made(std::string name, const RawTensor& like, std::vector<int64_t> shape, std::string bytes) {
  FileBytes held = bytes_in_memory(name, std::move(bytes));
  return {std::move(name), like.dtype, std::move(shape), held.bytes, held.owner};
}

/// A matrix with its axes exchanged.
RawTensor transposed(const std::string& source, const RawTensor& tensor) {
  check(tensor.shape.size() == 2, ErrorKind::model, "{}: tensor '{}' has the shape {}, which is no matrix",
        source, printable(tensor.name), shape_text(tensor.shape));
  const auto rows = static_cast<size_t>(tensor.shape[0]), columns = static_cast<size_t>(tensor.shape[1]);
  const size_t element = size_of(tensor.dtype);
  const std::string_view from = text_of(tensor.bytes);
  std::string to;
  to.reserve(from.size());
  for (size_t column = 0; column < columns; ++column)
    for (size_t row = 0; row < rows; ++row) to += from.substr((row * columns + column) * element, element);
  return made(tensor.name, tensor, {tensor.shape[1], tensor.shape[0]}, std::move(to));
}

/// "PREFIX.q_proj.weight" and its two siblings become "PREFIX.in_proj_weight", the others stay.
std::vector<RawTensor> fused(const std::string& source, const std::vector<RawTensor>& tensors) {
  constexpr std::string_view queries = ".q_proj.";
  const TensorIndex index(tensors);
  std::vector<RawTensor> out;
  for (const RawTensor& tensor : tensors) {
    const size_t at = tensor.name.find(queries);
    if (at == tensor.name.npos) {
      if (tensor.name.find(".k_proj.") == tensor.name.npos &&
          tensor.name.find(".v_proj.") == tensor.name.npos)
        out.push_back(tensor);
      continue;
    }
    const std::string prefix = tensor.name.substr(0, at), kind = tensor.name.substr(at + queries.size());
    std::string bytes(text_of(tensor.bytes));
    for (const char* sibling : {".k_proj.", ".v_proj."}) {
      const RawTensor* other = index.find(prefix + sibling + kind);
      check(other && other->shape == tensor.shape && other->dtype == tensor.dtype && !tensor.shape.empty(),
            ErrorKind::model, "{}: '{}' is {} and '{}' {}: queries, keys and values must be alike", source,
            printable(tensor.name), shape_text(tensor.shape), printable(prefix + sibling + kind),
            other ? shape_text(other->shape) : "is missing");
      bytes += text_of(other->bytes);
    }
    std::vector<int64_t> shape = tensor.shape;
    shape[0] *= 3;  // the bytes are there three times
    out.push_back(made(prefix + ".in_proj_" + kind, tensor, std::move(shape), std::move(bytes)));
  }
  return out;
}

Checkpoint convert_hf_clip(const std::vector<StateFile>& files, const nlohmann::json& given) {
  StateFile file;
  file.name = source_of(files);
  file.container = "Hugging Face's CLIPModel";
  file.tensors = fused(file.name, rename_tensors(files, hf_clip_names));
  for (RawTensor& tensor : file.tensors)
    if (tensor.name == "text_projection" || tensor.name == "visual.proj")
      tensor = transposed(file.name, tensor);
  Checkpoint result = openai_clip_importer().convert({std::move(file)}, given);
  result.format = "hf-clip";
  return result;
}

}  // namespace

const Importer& hf_clip_importer() {
  static constexpr Importer importer = {"hf-clip", "clip", false, "", is_hf_clip, convert_hf_clip};
  return importer;
}

}  // namespace dalle1::weights
