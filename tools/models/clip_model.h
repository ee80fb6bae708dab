// The CLIP that the options name, on a device, with its tokenizer.
#pragma once

#include <memory>

#include "clip/clip.h"
#include "core/image/image.h"
#include "tools/models/models.h"

namespace dalle1::tools {

/// From --clip or the model, with its parameters loaded. Error(model) when there is none.
std::unique_ptr<clip::Clip> open_clip(const CommonOptions& common, Device& device);

/// Its tokenizer (see models.h). Error(model) when they do not belong together.
std::unique_ptr<text::Tokenizer> open_tokenizer_of(const clip::Clip& clip, const CommonOptions& common);

/// Pictures given on the command line; those that cannot be read are named on stderr and left out.
struct GivenPictures {
  std::vector<std::string> paths;
  std::vector<Image> images;
  int failed = 0;

  /// Error(input) when none can be read.
  explicit GivenPictures(const std::vector<std::string>& paths);
  /// After the results are out: Error(partial) when some could not be read.
  void check_all_read() const;
};

}  // namespace dalle1::tools
