// dalle1 rank: pictures, or the candidates of a finished run, by how well they fit a prompt.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "clip/features.h"
#include "rerank/top_k.h"
#include "tools/commands/rank_results.h"
#include "tools/models/clip_model.h"
#include "tools/program/command.h"

namespace dalle1::tools {
namespace {

using Json = nlohmann::ordered_json;

struct RankOptions {
  std::vector<std::string> pictures;
  std::string prompt, scorer;
  bool truncate = false;
};

// Best first; pictures of one colour last, whatever their score.
std::vector<rerank::Standing> standings(const std::vector<Image>& images, const std::vector<float>& cosines) {
  std::vector<rerank::Standing> order;
  for (uint32_t i = 0; i < images.size(); ++i) order.push_back({cosines[i], i, is_constant(images[i])});
  check(!std::all_of(order.begin(), order.end(), [](const auto& each) { return each.constant; }),
        ErrorKind::model, "every picture has one colour only: there is nothing to rank");
  std::sort(order.begin(), order.end(), rerank::ranks_before);
  return order;
}

int rank(const RankOptions& options, const CommonOptions& common) {
  if (options.pictures.size() == 1 && options.pictures[0].ends_with(".jsonl"))
    return rank_results({options.pictures[0], options.prompt, options.scorer, options.truncate}, common);
  check(!options.prompt.empty(), ErrorKind::usage, "pictures need a --prompt to be ranked by");
  check(options.scorer.empty() || options.scorer == "clip", ErrorKind::usage,
        "pictures are ranked by CLIP; --scorer {} needs the tokens of a results.jsonl", options.scorer);
  const GivenPictures pictures(options.pictures);
  const auto device = open_device(common);
  const auto clip = open_clip(common, *device);
  const Tensor text = clip::text_features(*clip, *device, *open_tokenizer_of(*clip, common),
                                          {&options.prompt, 1}, options.truncate);
  const auto cosines = clip::cosines(clip::image_features(*clip, *device, pictures.images), text).to_floats();
  Json rows = Json::array();
  for (const rerank::Standing& standing : standings(pictures.images, cosines)) {
    const double logit = standing.score * clip->scale();
    rows.push_back({{"rank", rows.size()},
                    {"picture", pictures.paths[standing.candidate]},
                    {"cosine", standing.score},
                    {"logit", logit},
                    {"constant", standing.constant}});
    if (!common.json) {
      fmt::print("{:3}  {:.4f}  {:8.3f}  {}{}\n", rows.size() - 1, standing.score, logit,
                 pictures.paths[standing.candidate], standing.constant ? "  (one colour)" : "");
    }
  }
  if (common.json) fmt::print("{}\n", json_text({{"prompt", options.prompt}, {"pictures", rows}}));
  pictures.check_all_read();
  return 0;
}

}  // namespace

Command rank_command() {
  return {
      "rank", "Order pictures by how well they fit a prompt, or score a run's results.jsonl again",
      "dalle1 rank --prompt \"a red circle above a blue square\" *.png",
      [](CLI::App& app, CommonOptions& common) {
        auto options = std::make_shared<RankOptions>();
        add_model_options(app, common);
        app.add_option("pictures", options->pictures, "PNG or JPEG files, or one results.jsonl")->required();
        app.add_option("--prompt", options->prompt,
                       "The text that they should fit (default: that of the run)");
        app.add_option(
            "--scorer", options->scorer,
            "For results.jsonl: clip, likelihood, likelihood-ratio, caption, caption-ratio or a sum, as in "
            "sample");
        app.add_flag("--truncate", options->truncate, "Cut a prompt that is too long for CLIP");
        return [options, &common] { return rank(*options, common); };
      }};
}

}  // namespace dalle1::tools
