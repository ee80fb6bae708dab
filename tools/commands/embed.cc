// dalle1 embed: CLIP's features of pictures or texts.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "clip/features.h"
#include "core/data/npy.h"
#include "tools/models/clip_model.h"
#include "tools/program/command.h"

namespace dalle1::tools {
namespace {

struct EmbedOptions {
  std::vector<std::string> pictures, texts;
  std::string out;
  bool truncate = false;
};

int embed(const EmbedOptions& options, const CommonOptions& common) {
  check(options.pictures.empty() != options.texts.empty(), ErrorKind::usage,
        "give pictures or --text, one of both");
  const auto device = open_device(common);
  const auto clip = open_clip(common, *device);
  Tensor features;
  std::optional<GivenPictures> pictures;
  if (options.texts.empty()) {
    pictures.emplace(options.pictures);
    features = clip::image_features(*clip, *device, pictures->images);
  } else {
    features = clip::text_features(*clip, *device, *open_tokenizer_of(*clip, common), options.texts,
                                   options.truncate);
  }
  write_npy(options.out, {features.dim(0), features.dim(1)}, features.to_floats());
  if (common.json) {
    fmt::print("{}\n",
               json_text({{"features", options.out}, {"shape", {features.dim(0), features.dim(1)}}}, -1));
  } else {
    fmt::print("{}: {} x {}\n", options.out, features.dim(0), features.dim(1));
  }
  if (pictures) pictures->check_all_read();
  return 0;
}

}  // namespace

Command embed_command() {
  return {"embed", "Write CLIP's features of pictures or texts, before normalisation",
          "dalle1 embed picture.png other.jpg --out features.npy\n"
          "dalle1 embed --text \"a red circle\" --text \"a blue square\" --out features.npy",
          [](CLI::App& app, CommonOptions& common) {
            auto options = std::make_shared<EmbedOptions>();
            add_model_options(app, common);
            app.add_option("pictures", options->pictures, "PNG or JPEG files");
            app.add_option("--text", options->texts, "A text; may be repeated")->allow_extra_args(false);
            app.add_option("--out", options->out, "npy, float32 [N, D], in the order given")->required();
            app.add_flag("--truncate", options->truncate, "Cut texts that are too long for CLIP");
            return [options, &common] { return embed(*options, common); };
          }};
}

}  // namespace dalle1::tools
