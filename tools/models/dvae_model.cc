#include "tools/models/dvae_model.h"

#include "core/image/resample.h"
#include "tools/models/transformer_model.h"
#include "weights/load.h"

namespace dalle1::tools {

std::unique_ptr<dvae::Dvae> open_dvae(const CommonOptions& common, Device& device) {
  const weights::Checkpoint checkpoint = open_part(common, "dvae");
  auto model = dvae::make_dvae(checkpoint.config, device,
                               precisions_of(precision_name_of(common, device), device).pictures);
  weights::load_parameters(*model, checkpoint);
  return model;
}

std::vector<Image> read_pictures(const std::vector<std::string>& paths, int size) {
  std::vector<Image> images;
  for (const std::string& path : paths) {
    Image image = to_rgb(read_image(path));
    images.push_back(size > 0 ? fit_square(image, size) : std::move(image));
  }
  return images;
}

}  // namespace dalle1::tools
