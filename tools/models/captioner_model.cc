#include "tools/models/captioner_model.h"

#include "core/image/resample.h"
#include "dvae/picture_batches.h"
#include "weights/model_dir.h"

namespace dalle1::tools {
namespace fs = std::filesystem;

fs::path find_captioner_tokenizer(const CommonOptions& common) {
  if (common.captioner.size() == 1 && weights::is_model_dir(common.captioner[0])) {
    const auto directory = weights::read_model_dir(common.captioner[0]);
    if (directory.tokenizer) return directory.tokenizer->path;
  }
  return find_text_tokenizer(common);
}

Tensor codes_of(dvae::Dvae& dvae, Device& device, int grid, const std::vector<Image>& pictures) {
  const int size = grid * static_cast<int>(dvae.downsampling());
  std::vector<Image> squares;
  for (const Image& picture : pictures) squares.push_back(fit_square(to_rgb(picture), size, Filter::area));
  Context context(device);
  return dvae.encode_indices(context, dvae::tensor_of_images(device, squares));
}

}  // namespace dalle1::tools
