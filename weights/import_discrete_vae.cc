// The DiscreteVAE of DALLE-pytorch (github.com/lucidrains/DALLE-pytorch); its shapes are its configuration.
#include <algorithm>

#include "weights/import.h"

namespace dalle1::weights {
namespace {

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

const Importer& discrete_vae_importer() {
  static constexpr Importer importer = {"dalle-pytorch-vae", "dvae", false, "", is_discrete_vae,
                                        convert_discrete_vae};
  return importer;
}

}  // namespace dalle1::weights
