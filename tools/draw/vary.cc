// dalle1 vary: new pictures that keep more or less of the top of a given one.
#include "tools/draw/draw.h"
#include "tools/program/command.h"

namespace dalle1::tools {
namespace {

struct VaryOptions {
  std::string image;
  std::vector<int> depths = {8, 16, 24};
};

rerank::GivenPicture given_picture(const VaryOptions& options, const rerank::ModelSet& models) {
  rerank::GivenPicture given;
  given.picture = read_image(options.image);
  for (const int depth : options.depths)
    given.redraws.push_back(rerank::keep_top_rows(models.config().grid, depth));
  given.options = {{"image", sha256_of_input(options.image)}, {"depths", options.depths}};
  return given;
}

}  // namespace

Command vary_command() {
  return {"vary", "Draw variations of a picture: its top rows are kept, to several depths",
          "dalle1 vary --image cat.png --depths 8,16,24 --prompt \"a cat\" --candidates 96 --keep 12",
          [](CLI::App& app, CommonOptions& common) {
            auto options = std::make_shared<DrawOptions>();
            auto vary = std::make_shared<VaryOptions>();
            app.add_option("--image", vary->image, "The picture; its centred square is used")->required();
            app.add_option("--depths", vary->depths,
                           "Rows kept; candidates take them in turn (default: 8,16,24)")
                ->delimiter(',')
                ->allow_extra_args(false);
            add_draw_options(app, *options);
            add_model_options(app, common);
            return [options, vary, &common] {
              return draw(*options, common,
                          [&](const rerank::ModelSet& models) { return given_picture(*vary, models); });
            };
          }};
}

}  // namespace dalle1::tools
