#include "tools/clip_model.h"

#include <fmt/format.h>

#include "weights/load.h"

namespace dalle1::tools {

ClipModel open_clip(const CommonOptions& common, Device& device) {
  const weights::Checkpoint checkpoint = open_part(common, "clip");
  ClipModel model;
  model.tokenizer = open_clip_tokenizer(common);
  const auto config = clip::clip_config_from_json(checkpoint.config);
  check(model.tokenizer->vocab_size() <= config.vocab_size, ErrorKind::model,
        "CLIP's tokenizer has {} tokens and CLIP takes {}: give the CLIP with its own tokenizer, as a model "
        "directory",
        model.tokenizer->vocab_size(), config.vocab_size);
  model.clip = std::make_unique<clip::Clip>(config, device);
  weights::load_parameters(*model.clip, checkpoint);
  return model;
}

GivenPictures::GivenPictures(const std::vector<std::string>& given) {
  std::string first;
  for (const auto& path : given) {
    try {
      images.push_back(read_image(path));
      paths.push_back(path);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::input) throw;
      if (failed++ == 0) first = error.what();
      if (given.size() > 1) fmt::print(stderr, "left out: {}\n", error.what());
    }
  }
  check(!images.empty(), ErrorKind::input, "{}", first);
}

void GivenPictures::check_all_read() const {
  check(failed == 0, ErrorKind::partial, "{} of {} pictures could not be read", failed,
        paths.size() + static_cast<size_t>(failed));
}

}  // namespace dalle1::tools
