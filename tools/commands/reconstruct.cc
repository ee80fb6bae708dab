// dalle1 reconstruct: what is left of pictures after encoding and decoding.
#include <fmt/format.h>

#include <filesystem>

#include "core/image/png.h"
#include "core/image/resample.h"
#include "core/image/sheet.h"
#include "dvae/picture_batches.h"
#include "dvae/picture_metrics.h"
#include "tools/models/dvae_model.h"
#include "tools/program/command.h"

namespace dalle1::tools {
namespace {

struct ReconstructOptions {
  std::vector<std::string> pictures;
  std::string out;
  int size = 256;
};

struct Reconstruction {
  Image given, decoded;  // of one size
  double squared_error;
};

// A decoder may make pictures of another size; the given one is then brought to it.
Reconstruction reconstruct_one(dvae::Dvae& model, Context& context, const Image& image) {
  const Tensor indices = model.encode_indices(context, dvae::tensor_of_images(*context.device, {image}));
  Reconstruction result;
  result.decoded = dvae::images_of_tensor(model.decode(context, indices))[0];
  const auto side = [&](int64_t cells) { return static_cast<int>(cells * model.downsampling()); };
  result.given = resize(crop(image, 0, 0, side(indices.dim(2)), side(indices.dim(1))), result.decoded.width,
                        result.decoded.height, Filter::bicubic);
  result.squared_error = dvae::mean_squared_error(result.given, result.decoded);
  return result;
}

int reconstruct(const ReconstructOptions& options, const CommonOptions& common) {
  const std::vector<Image> images = read_pictures(options.pictures, options.size);
  const auto device = open_device(common);
  const auto model = open_dvae(common, *device);
  Context context(*device);
  std::vector<SheetCell> given, decoded;
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  double squared = 0;
  for (size_t i = 0; i < images.size(); ++i) {
    Reconstruction r = reconstruct_one(*model, context, images[i]);
    const double psnr = dvae::psnr_of(r.squared_error), similarity = dvae::ssim(r.given, r.decoded);
    squared += r.squared_error;
    rows.push_back({{"picture", options.pictures[i]}, {"psnr", psnr}, {"ssim", similarity}});
    if (!common.json) fmt::print("{}: {:.2f} dB, SSIM {:.4f}\n", options.pictures[i], psnr, similarity);
    given.push_back({std::move(r.given), std::filesystem::path(options.pictures[i]).filename().string()});
    decoded.push_back({std::move(r.decoded), fmt::format("{:.2f} dB", psnr)});
  }
  const double psnr = dvae::psnr_of(squared / static_cast<double>(images.size()));
  SheetOptions sheet;
  sheet.title = fmt::format("originals above reconstructions, {:.2f} dB", psnr);
  sheet.columns = static_cast<int>(given.size());
  given.insert(given.end(), decoded.begin(), decoded.end());
  write_png(options.out, draw_sheet(given, sheet));
  if (common.json) {
    fmt::print("{}\n", json_text({{"sheet", options.out}, {"psnr", psnr}, {"pictures", rows}}, -1));
  } else {
    fmt::print("{}: {:.2f} dB over all pixels\n", options.out, psnr);
  }
  return 0;
}

}  // namespace

Command reconstruct_command() {
  return {"reconstruct", "Draw pictures above what the dVAE makes of them",
          "dalle1 reconstruct picture.png other.jpg --out sheet.png",
          [](CLI::App& app, CommonOptions& common) {
            auto options = std::make_shared<ReconstructOptions>();
            add_model_options(app, common);
            app.add_option("pictures", options->pictures, "PNG or JPEG files")->required();
            app.add_option("--out", options->out, "The sheet to write")->required();
            app.add_option("--size", options->size, "Side of the squares that pictures are brought to")
                ->check(CLI::Range(1, kMaxImageSide));
            return [options, &common] { return reconstruct(*options, common); };
          }};
}

}  // namespace dalle1::tools
