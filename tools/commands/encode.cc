// dalle1 encode: pictures to code indices.
#include <fmt/format.h>

#include "core/data/npy.h"
#include "dvae/picture_batches.h"
#include "tools/models/dvae_model.h"
#include "tools/program/command.h"

namespace dalle1::tools {
namespace {

struct EncodeOptions {
  std::vector<std::string> pictures;
  std::string out, logits;
  int size = 0;
};

void check_sizes(const std::vector<Image>& images, const std::vector<std::string>& paths) {
  for (size_t i = 1; i < images.size(); ++i) {
    check(images[i].width == images[0].width && images[i].height == images[0].height, ErrorKind::input,
          "{} is {}x{} and {} is {}x{}; give --size to make them equal", paths[0], images[0].width,
          images[0].height, paths[i], images[i].width, images[i].height);
  }
}

int encode(const EncodeOptions& options, const CommonOptions& common) {
  const std::vector<Image> images = read_pictures(options.pictures, options.size);
  check_sizes(images, options.pictures);
  const auto device = open_device(common);
  const auto model = open_dvae(common, *device);
  Context context(*device);
  std::vector<int64_t> indices;
  std::vector<float> logits;
  Shape grid;
  for (const Image& image : images) {
    const Tensor pixels = dvae::tensor_of_images(*device, {image});
    const Tensor codes = model->encode_indices(context, pixels);
    const std::vector<int64_t> values = codes.to_ints();
    indices.insert(indices.end(), values.begin(), values.end());
    grid = codes.shape();
    if (options.logits.empty()) continue;
    const std::vector<float> scores = model->encode(context, pixels).to_floats();
    logits.insert(logits.end(), scores.begin(), scores.end());
  }
  const auto count = static_cast<int64_t>(images.size());
  write_npy(options.out, {count, grid[1], grid[2]}, indices);
  if (!options.logits.empty()) write_npy(options.logits, {count, model->codes(), grid[1], grid[2]}, logits);
  if (common.json) {
    const nlohmann::ordered_json result = {
        {"tokens", options.out}, {"shape", {count, grid[1], grid[2]}}, {"codes", model->codes()}};
    fmt::print("{}\n", json_text(result, -1));
  } else {
    fmt::print("{}: {} x {} x {} codes of {}\n", options.out, count, grid[1], grid[2], model->codes());
  }
  return 0;
}

}  // namespace

Command encode_command() {
  return {"encode", "Turn pictures into code indices",
          "dalle1 encode picture.png --size 256 --out tokens.npy", [](CLI::App& app, CommonOptions& common) {
            auto options = std::make_shared<EncodeOptions>();
            add_model_options(app, common);
            app.add_option("pictures", options->pictures, "PNG or JPEG files")->required();
            app.add_option("--out", options->out, "The indices: npy, int64 [B, h, w]")->required();
            app.add_option("--logits", options->logits, "Also the logits: npy, float32 [B, codes, h, w]");
            app.add_option("--size", options->size, "Resize and crop to squares of this side first")
                ->check(CLI::Range(1, kMaxImageSide));
            return [options, &common] { return encode(*options, common); };
          }};
}

}  // namespace dalle1::tools
