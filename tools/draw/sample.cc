// dalle1 sample: the main job.
#include "tools/draw/draw.h"
#include "tools/program/command.h"

namespace dalle1::tools {

Command sample_command() {
  return {"sample", "Draw pictures from a prompt and keep the best",
          "dalle1 sample --prompt \"a red circle above a blue square\" --candidates 512 --keep 32",
          [](CLI::App& app, CommonOptions& common) {
            auto options = std::make_shared<DrawOptions>();
            add_draw_options(app, *options);
            add_model_options(app, common);
            return [options, &common] { return draw(*options, common); };
          }};
}

}  // namespace dalle1::tools
