// VQGANs of taming-transformers (github.com/CompVis/taming-transformers, VQModel and GumbelVQ), and
// ru-dalle's, which is a GumbelVQ, plain and with the inverse wavelet decoder: Lightning checkpoints with the
// tensors under "state_dict". Their YAML configuration, or one derived from the shapes.
#include "weights/import.h"
#include "weights/small_json.h"

namespace dalle1::weights {
namespace {

constexpr NameRule plain_names[] = {{"encoder.*", "encoder.*"},
                                    {"decoder.*", "decoder.*"},
                                    {"quantize.*", "quantize.*"},
                                    {"quant_conv.*", "quant_conv.*"},
                                    {"post_quant_conv.*", "post_quant_conv.*"},
                                    {"loss.*", ""},  // the discriminator and what it is trained with
                                    {"colorize", ""}};

constexpr NameRule dwt_names[] = {{"model.encoder.*", "encoder.*"},
                                  {"model.decoder.decoder.*", "decoder.*"},
                                  {"model.decoder.post_quant_conv.*", "post_quant_conv.*"},
                                  {"model.decoder.idwt.*", ""},  // fixed filters of the wavelet
                                  {"model.quantize.*", "quantize.*"},
                                  {"model.quant_conv.*", "quant_conv.*"},
                                  {"model.post_quant_conv.*", ""},  // replaced by the decoder's own
                                  {"model.loss.*", ""}};

bool is_dwt(const StateFile& file) { return file.has("model.decoder.decoder.conv_in.weight"); }

bool takes_nearest(const StateFile& file) { return file.has("quantize.embedding.weight"); }

bool is_vqgan(const StateFile& file) {
  return is_dwt(file) || ((file.has("quantize.proj.weight") || takes_nearest(file)) &&
                          file.has("decoder.up.0.block.0.norm1.weight"));
}

/// The published YAML has the sizes under model.params; a native configuration has them at the top.
nlohmann::json native_vqgan_config(const std::string& source, const nlohmann::json& given) {
  if (!given.contains("model")) return given;
  const auto params = nlohmann::json::json_pointer("/model/params");
  check(given.contains(params) && given[params].is_object() && given[params].contains("ddconfig") &&
            given[params]["ddconfig"].is_object(),
        ErrorKind::model, "{}: the configuration has no model.params.ddconfig", source);
  nlohmann::json config = given[params]["ddconfig"];
  config.erase("double_z");
  config.erase("dropout");
  for (const char* key : {"embed_dim", "n_embed"}) config[key] = given[params].value(key, nlohmann::json());
  return config;
}

std::string codebook_of(const TensorIndex& index) {
  return index.find("quantize.embedding.weight") ? "quantize.embedding.weight" : "quantize.embed.weight";
}

/// Everything but the training resolution shows in the shapes; attention levels are those with attention
/// tensors.
nlohmann::json derive(const Checkpoint& result, const TensorIndex& index) {
  const std::string& source = result.source;
  const int64_t levels = count_numbered(result.tensors, "encoder.down.#.*");
  check(levels > 0, ErrorKind::model, "{}: the encoder has no levels", source);
  const int64_t ch = extent_of(index, source, "encoder.conv_in.weight", 0);
  constexpr int64_t resolution = 256;  // of both published models; attention is at resolution / 2^level
  nlohmann::json multipliers = nlohmann::json::array(), attention = nlohmann::json::array();
  for (int64_t level = 0; level < levels; ++level) {
    const std::string block = fmt::format("encoder.down.{}.", level);
    multipliers.push_back(extent_of(index, source, block + "block.0.conv1.weight", 0) /
                          std::max<int64_t>(ch, 1));
    if (index.find(block + "attn.0.q.weight")) attention.push_back(resolution >> level);
  }
  return {{"z_channels", extent_of(index, source, "encoder.conv_out.weight", 0)},
          {"resolution", resolution},
          {"in_channels", extent_of(index, source, "encoder.conv_in.weight", 1)},
          {"out_ch", 3},
          {"ch", ch},
          {"ch_mult", multipliers},
          {"num_res_blocks", count_numbered(result.tensors, "encoder.down.0.block.#.*")},
          {"attn_resolutions", attention},
          {"embed_dim", extent_of(index, source, codebook_of(index), 1)},
          {"n_embed", extent_of(index, source, codebook_of(index), 0)}};
}

/// Refuses a configuration of another codebook: of published VQGANs most differ in nothing else.
void check_codebook(const Checkpoint& result, const TensorIndex& index) {
  size_t axis = 0;
  for (const char* field : {"n_embed", "embed_dim"}) {
    const int64_t own = extent_of(index, result.source, codebook_of(index), axis++);
    const auto given = result.config.find(field);
    check(given == result.config.end() || *given == own, ErrorKind::model,
          "{}: the configuration that was given says {} {}, but the file has {}", result.source, field,
          printable(given == result.config.end() ? "" : given->dump()), own);
  }
}

Checkpoint convert_vqgan(const std::vector<StateFile>& files, const nlohmann::json& given) {
  const bool dwt = is_dwt(files[0]), nearest = takes_nearest(files[0]);
  Checkpoint result = part_from(files, "dvae",
                                dwt       ? "rudalle-vqgan-dwt"
                                : nearest ? "taming-vqgan"
                                          : "rudalle-vqgan");
  check(files.size() == 1, ErrorKind::model, "{}: a VQGAN is one file", result.source);
  result.tensors = dwt ? rename_tensors(files, dwt_names) : rename_tensors(files, plain_names);
  // A configuration may be meant for the transformer that comes with it.
  const bool fits = given.is_object() && (given.contains("model") || given.contains("z_channels"));
  const TensorIndex index(result.tensors);
  result.config = fits ? native_vqgan_config(result.source, given) : derive(result, index);
  check_codebook(result, index);
  if (nearest) result.config["quantiser"] = "nearest";
  result.config["kind"] = "vqgan";
  result.config["dwt"] = dwt;
  return result;
}

}  // namespace

const Importer& vqgan_importer() {
  static constexpr Importer importer = {
      "rudalle-vqgan", "dvae",       false, "rudalle-vqgan, taming-vqgan-f16-1024, taming-vqgan-f16-16384",
      is_vqgan,        convert_vqgan};
  return importer;
}

}  // namespace dalle1::weights
