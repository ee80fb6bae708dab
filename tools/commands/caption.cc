// dalle1 caption: what pictures show, in words.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tools/models/clip_model.h"
#include "tools/models/picture_captioner.h"
#include "tools/program/command.h"

namespace dalle1::tools {
namespace {

constexpr size_t kPicturesAtOnce = 16;

struct CaptionOptions : CaptioningOptions {
  std::vector<std::string> pictures;
};

int caption(const CaptionOptions& options, const CommonOptions& common) {
  check(options.request.count == 1 || options.request.rule.temperature > 0, ErrorKind::usage,
        "--count {}: the likeliest caption is always the same; give a --temperature above 0, such as 0.7",
        options.request.count);
  const GivenPictures pictures(options.pictures);
  const PictureCaptioner writer(options, common);
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (size_t begin = 0; begin < pictures.images.size(); begin += kPicturesAtOnce) {
    const size_t end = std::min(begin + kPicturesAtOnce, pictures.images.size());
    const auto at = [&](size_t i) { return pictures.images.begin() + static_cast<std::ptrdiff_t>(i); };
    const auto texts = writer.captions_of({at(begin), at(end)});
    for (size_t i = 0; i < texts.size(); ++i) {
      const auto& file = pictures.paths[begin + i / static_cast<size_t>(options.request.count)];
      rows.push_back({{"file", file}, {"caption", texts[i]}});
      if (!common.json) fmt::print("{}: {}\n", file, texts[i]);
    }
  }
  if (common.json) fmt::print("{}\n", json_text(rows));
  pictures.check_all_read();
  return 0;
}

}  // namespace

Command caption_command() {
  return {"caption", "Write what pictures show", "dalle1 caption *.png --captioner runs/captioner/model",
          [](CLI::App& app, CommonOptions& common) {
            auto options = std::make_shared<CaptionOptions>();
            add_model_options(app, common);
            app.add_option("pictures", options->pictures, "PNG or JPEG files")->required();
            app.add_option("--count", options->request.count, "Captions of each picture")
                ->check(CLI::Range(1, 1024))
                ->capture_default_str();
            add_captioning_options(app, *options);
            return [options, &common] { return caption(*options, common); };
          }};
}

}  // namespace dalle1::tools
