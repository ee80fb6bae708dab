// dalle1 complete: keep a part of a picture and draw the rest anew.
#include <fmt/format.h>

#include "core/error.h"
#include "tools/draw/draw.h"
#include "tools/program/command.h"

namespace dalle1::tools {
namespace {

struct CompleteOptions {
  std::string image, mask;
  int keep_rows = 0;
  std::vector<int> region;
  bool rest = false, paste = false;
};

rerank::Redraw redraw_of(const CompleteOptions& options, const Image& picture, int grid) {
  if (options.keep_rows != 0) return rerank::keep_top_rows(grid, options.keep_rows);
  if (options.mask.empty())
    return rerank::redraw_region(
        grid, picture, {options.region[0], options.region[1], options.region[2], options.region[3]});
  return rerank::redraw_mask(grid, picture, read_image(options.mask));
}

rerank::GivenPicture given_picture(const CompleteOptions& options, const rerank::ModelSet& models) {
  rerank::GivenPicture given;
  given.picture = read_image(options.image);
  auto redraw = redraw_of(options, given.picture, models.config().grid);
  if (options.rest) rerank::redraw_rest(redraw);
  given.redraws = {std::move(redraw)};
  given.paste = options.paste;
  given.options = {{"image", sha256_of_input(options.image)},
                   {"keep_rows", options.keep_rows},
                   {"region", options.region},
                   {"mask", options.mask.empty() ? "" : sha256_of_input(options.mask)},
                   {"redraw_rest", options.rest},
                   {"paste", options.paste}};
  return given;
}

void check_options(const CompleteOptions& options) {
  const int ways = (options.keep_rows != 0) + !options.region.empty() + !options.mask.empty();
  check(ways == 1, ErrorKind::usage, "give one of --keep-rows, --region and --mask, not {}", ways);
}

}  // namespace

Command complete_command() {
  return {
      "complete", "Keep a part of a picture and draw the rest from a prompt",
      "dalle1 complete --image house.png --keep-rows 16 --prompt \"a house at night\" --candidates 64 --keep "
      "8",
      [](CLI::App& app, CommonOptions& common) {
        auto options = std::make_shared<DrawOptions>();
        auto complete = std::make_shared<CompleteOptions>();
        app.add_option("--image", complete->image, "The picture; its centred square is used")->required();
        app.add_option("--keep-rows", complete->keep_rows, "Keep the top N rows of the grid")
            ->check(CLI::Range(1, 1024));
        app.add_option("--region", complete->region, "x,y,w,h: redraw this rectangle of the picture's pixels")
            ->delimiter(',')
            ->expected(4)
            ->check(CLI::Range(0, 1 << 20))
            ->allow_extra_args(false);
        app.add_option("--mask", complete->mask,
                       "A PNG of the picture's size: redraw where it is transparent, or white without alpha");
        app.add_flag("--redraw-rest", complete->rest, "Redraw everything behind the last redrawn cell, too");
        app.add_flag("--paste", complete->paste, "Kept pixels come from the picture, with a blended seam");
        add_draw_options(app, *options);
        add_model_options(app, common);
        return [options, complete, &common] {
          check_options(*complete);
          return draw(*options, common,
                      [&](const rerank::ModelSet& models) { return given_picture(*complete, models); });
        };
      }};
}

}  // namespace dalle1::tools
