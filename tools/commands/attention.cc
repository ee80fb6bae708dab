// dalle1 attention: where one head of one layer looks, over the picture.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/image/png.h"
#include "core/image/resample.h"
#include "dvae/picture_batches.h"
#include "tools/models/dvae_model.h"
#include "tools/models/transformer_model.h"
#include "tools/program/command.h"
#include "transformer/attention_probe.h"

namespace dalle1::tools {
namespace {

constexpr int kCellPixels = 16;

struct AttentionOptions {
  std::string prompt, image, out;
  std::vector<int> at;  // row and column; empty: the middle
  int layer = 0, head = 0;
  bool truncate = false;
};

// The picture, bright where the head looks (by the square root, so that small weights show), the query
// framed.
Image overlay(const Image& picture, const std::vector<float>& weights, int grid, int cell) {
  Image canvas = resize(to_rgb(picture), grid * kCellPixels, grid * kCellPixels, Filter::bicubic);
  const float largest = std::max(*std::max_element(weights.begin(), weights.end()), 1e-20f);
  for (int y = 0; y < canvas.height; ++y) {
    for (int x = 0; x < canvas.width; ++x) {
      const int at = y / kCellPixels * grid + x / kCellPixels;
      const float light = 0.15f + 0.85f * std::sqrt(weights[at] / largest);
      uint8_t* pixel = canvas.at(x, y);
      for (int c = 0; c < 3; ++c) pixel[c] = static_cast<uint8_t>(light * static_cast<float>(pixel[c]));
      const int dx = x % kCellPixels, dy = y % kCellPixels;
      const bool frame = at == cell && (std::min(dx, dy) < 2 || std::max(dx, dy) >= kCellPixels - 2);
      if (frame) pixel[0] = 255, pixel[1] = 64, pixel[2] = 64;
    }
  }
  return canvas;
}

int attention(const AttentionOptions& options, const CommonOptions& common) {
  const auto device = open_device(common);
  const auto model = open_transformer(common, *device);
  const auto dvae = open_dvae(common, *device);
  const auto tokenizer = open_text_tokenizer(common);
  const transformer::TransformerConfig& config = model->config();
  const text::SpecialIds special = tokenizer->special();
  const auto slots = transformer::fill_text_slots(config, tokenizer->encode(options.prompt),
                                                  {special.bos, special.eos, options.truncate});
  const int size = config.grid * static_cast<int>(dvae->downsampling());
  const Image picture = read_pictures({options.image}, size).front();
  Context context(*device);
  const Tensor codes = dvae->encode_indices(context, dvae::tensor_of_images(*device, {picture}));
  check(codes.numel() == config.cells(), ErrorKind::model,
        "the dVAE gives {} tokens; the transformer's grid has {}", codes.numel(), config.cells());
  const int row = options.at.empty() ? config.grid / 2 : options.at[0];
  const int column = options.at.empty() ? config.grid / 2 : options.at[1];
  check(row >= 0 && row < config.grid && column >= 0 && column < config.grid, ErrorKind::usage,
        "--at {},{}: the grid has rows and columns 0 to {}", row, column, config.grid - 1);
  const int cell = row * config.grid + column;
  const auto weights = transformer::probe_attention(
      context, *model,
      {Tensor::from(*device, {1, config.text_length}, slots), codes.view({1, config.cells()})}, options.layer,
      options.head, cell);
  write_png(options.out, overlay(picture, weights.image, config.grid, cell));
  const double text_share = std::accumulate(weights.text.begin(), weights.text.end(), 0.0);
  if (common.json)
    fmt::print("{}\n", json_text(nlohmann::ordered_json({{"picture", options.out},
                                                         {"text_share", text_share},
                                                         {"text", weights.text},
                                                         {"image", weights.image}}),
                                 -1));
  else
    fmt::print("{}\n{:.1f}% of the attention is on the text\n", options.out, 100 * text_share);
  return 0;
}

}  // namespace

Command attention_command() {
  return {"attention", "Show where one head of the transformer looks",
          "dalle1 attention --prompt \"a red circle\" --image circle.png --layer 3 --head 0 --at 16,16 --out "
          "look.png",
          [](CLI::App& app, CommonOptions& common) {
            auto options = std::make_shared<AttentionOptions>();
            add_model_options(app, common);
            app.add_option("--prompt", options->prompt, "The caption")->required();
            app.add_option("--image", options->image, "The picture")->required();
            app.add_option("--layer", options->layer, "From 0")->capture_default_str();
            app.add_option("--head", options->head, "From 0")->capture_default_str();
            app.add_option("--at", options->at,
                           "Row and column of the grid cell that looks; by default the middle")
                ->delimiter(',')
                ->expected(2);
            app.add_option("--out", options->out, "PNG to write")->required();
            app.add_flag("--truncate", options->truncate, "Cut a prompt that is too long");
            return [options, &common] { return attention(*options, common); };
          }};
}

}  // namespace dalle1::tools
