#include "tools/models/clip_model.h"

#include <fmt/format.h>

#include "tools/models/transformer_model.h"
#include "tools/program/standard_streams.h"
#include "weights/load.h"

namespace dalle1::tools {

std::unique_ptr<clip::Clip> open_clip(const CommonOptions& common, Device& device) {
  const weights::Checkpoint checkpoint = open_part(common, "clip");
  auto clip = std::make_unique<clip::Clip>(clip::clip_config_from_json(checkpoint.config), device,
                                           precisions_of(precision_name_of(common, device), device).pictures);
  weights::load_parameters(*clip, checkpoint);
  clip->prepare();
  return clip;
}

std::unique_ptr<text::Tokenizer> open_tokenizer_of(const clip::Clip& clip, const CommonOptions& common) {
  auto tokenizer = open_clip_tokenizer(common);
  clip::check_fits(clip.config(), *tokenizer);
  return tokenizer;
}

GivenPictures::GivenPictures(const std::vector<std::string>& given) {
  std::string first;
  for (const auto& path : given) {
    try {
      images.push_back(read_image(path));
      paths.push_back(path);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::input) throw;
      if (failed++ == 0) first = message_of(error);
      if (given.size() > 1) write_stderr(fmt::format("left out: {}\n", message_of(error)));
    }
  }
  check(!images.empty(), ErrorKind::input, "{}", first);
}

void GivenPictures::check_all_read() const {
  check(failed == 0, ErrorKind::partial, "{} of {} pictures could not be read", failed,
        paths.size() + static_cast<size_t>(failed));
}

}  // namespace dalle1::tools
