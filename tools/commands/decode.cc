// dalle1 decode: code indices to pictures.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "core/data/npy.h"
#include "core/image/png.h"
#include "dvae/picture_batches.h"
#include "tools/models/dvae_model.h"
#include "tools/program/command.h"

namespace dalle1::tools {
namespace fs = std::filesystem;
namespace {

struct DecodeOptions {
  std::string tokens, out, stats;
};

bool is_stream(const fs::path& path) {
  std::error_code none;
  const auto status = fs::status(path, none);
  return fs::is_character_file(status) || fs::is_fifo(status);
}

// The path itself for one picture, NAME-000.png and so on for several.
fs::path numbered(const fs::path& path, int64_t index, int64_t count) {
  if (count == 1) return path;
  const auto extension = path.has_extension() ? path.extension().string() : ".png";
  return path.parent_path() / fmt::format("{}-{:03}{}", path.stem().string(), index, extension);
}

int decode(const DecodeOptions& options, const CommonOptions& common) {
  const NpyArray array = read_npy(options.tokens);
  std::vector<int64_t> shape = array.shape;
  if (shape.size() == 2) shape.insert(shape.begin(), 1);
  check(shape.size() == 3 && array.count() > 0, ErrorKind::input,
        "{}: indices must be [h, w] or [B, h, w], not {}", options.tokens, Shape(array.shape));
  const std::vector<int64_t> indices = array.to_i64();
  const auto device = open_device(common);
  const auto model = open_dvae(common, *device);
  const auto wrong = std::find_if(indices.begin(), indices.end(),
                                  [&](int64_t index) { return index < 0 || index >= model->codes(); });
  check(wrong == indices.end(), ErrorKind::input, "{}: index {} is outside the dVAE's 0 to {}",
        options.tokens, wrong == indices.end() ? 0 : *wrong, model->codes() - 1);

  check(shape[0] == 1 || !is_stream(options.out), ErrorKind::usage,
        "{} takes one picture and {} has {}: name a file, whose name the pictures then get with numbers",
        options.out, options.tokens, shape[0]);
  Context context(*device);
  const int64_t cells = shape[1] * shape[2];
  std::vector<float> stats;
  Shape stats_shape;
  nlohmann::ordered_json files = nlohmann::ordered_json::array();
  for (int64_t i = 0; i < shape[0]; ++i) {
    const auto codes = std::span(indices).subspan(i * cells, cells);
    const Tensor raw = model->decode_stats(context, Tensor::from(*device, {1, shape[1], shape[2]}, codes));
    const fs::path path = numbered(options.out, i, shape[0]);
    write_png(path, dvae::images_of_tensor(model->image_of(context, raw))[0]);
    files.push_back(path.string());
    if (!common.json) fmt::print("{}\n", path.string());
    if (options.stats.empty()) continue;
    stats_shape = raw.shape();
    const std::vector<float> values = raw.to_floats();
    stats.insert(stats.end(), values.begin(), values.end());
  }
  if (!options.stats.empty()) {
    write_npy(options.stats, {shape[0], stats_shape[1], stats_shape[2], stats_shape[3]}, stats);
  }
  if (common.json) fmt::print("{}\n", json_text({{"pictures", files}}, -1));
  return 0;
}

}  // namespace

Command decode_command() {
  return {
      "decode", "Turn code indices into pictures", "dalle1 decode tokens.npy --out picture.png",
      [](CLI::App& app, CommonOptions& common) {
        auto options = std::make_shared<DecodeOptions>();
        add_model_options(app, common);
        app.add_option("tokens", options->tokens, "npy, integers [h, w] or [B, h, w]")->required();
        app.add_option("--out", options->out, "The PNG; several become NAME-000.png and so on")->required();
        app.add_option("--stats", options->stats, "Also the decoder's raw output: npy, float32");
        return [options, &common] { return decode(*options, common); };
      }};
}

}  // namespace dalle1::tools
