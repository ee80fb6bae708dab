// dalle1 masks: attention patterns as pictures.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/attention/attention_pattern.h"
#include "core/data/npy.h"
#include "core/image/png.h"
#include "tools/command.h"

namespace dalle1::tools {
namespace fs = std::filesystem;
namespace {

struct MaskOptions {
  std::string pattern = "row", wrap = "none", out, npy;
  int text = 256, grid = 32, kernel = 11;
};

// A table in a file: a PNG (bright = sees) or uint8 .npy, queries down, keys across.
std::shared_ptr<const PatternBits> read_table(const fs::path& path) {
  auto table = std::make_shared<PatternBits>();
  if (path.extension() == ".npy") {
    const NpyArray array = read_npy(path);
    check(array.shape.size() == 2 && array.shape[0] == array.shape[1], ErrorKind::input,
          "{}: a pattern must be square", path.string());
    table->length = static_cast<int32_t>(array.shape[0]);
    for (int64_t bit : array.to_i64()) table->bits.push_back(bit != 0);
    return table;
  }
  const Image image = to_rgb(read_image(path));
  check(image.width == image.height, ErrorKind::input, "{}: a pattern must be square, not {}x{}",
        path.string(), image.width, image.height);
  table->length = image.width;
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) table->bits.push_back(image.at(x, y)[0] >= 128);
  }
  return table;
}

AttentionPattern make_pattern(const MaskOptions& options) {
  AttentionPattern pattern;
  pattern.text = options.text;
  pattern.grid = options.grid;
  if (options.pattern == "row") {
    pattern.kind = PatternKind::row;
  } else if (options.pattern == "column") {
    pattern.kind = PatternKind::column;
  } else if (options.pattern == "dense") {
    pattern.kind = PatternKind::dense;
  } else if (options.pattern == "conv") {
    pattern.kind = PatternKind::conv;
    pattern.kernel = options.kernel;
    pattern.wrap = options.wrap == "none"     ? ConvWrap::none
                   : options.wrap == "raster" ? ConvWrap::raster
                                              : ConvWrap::rudalle_v2;
  } else {
    check(fs::exists(options.pattern), ErrorKind::usage,
          "--pattern {}: give row, column, conv, dense or a PNG or .npy file", options.pattern);
    pattern.kind = PatternKind::arbitrary;
    pattern.table = read_table(options.pattern);
  }
  validate(pattern);
  return pattern;
}

int masks(const MaskOptions& options, const CommonOptions& common) {
  check(!options.out.empty() || !options.npy.empty(), ErrorKind::usage, "give --out PNG or --npy FILE");
  const AttentionPattern pattern = make_pattern(options);
  const std::vector<uint8_t> bits = to_mask(pattern);
  const int32_t length = pattern.length();
  if (!options.out.empty()) {
    Image image(length, length, 1);
    for (size_t i = 0; i < bits.size(); ++i) image.pixels[i] = bits[i] ? 255 : 0;
    write_png(options.out, image);
  }
  if (!options.npy.empty()) write_npy(options.npy, {length, length}, bits);
  const int64_t ones = count_ones(pattern);
  const double of_dense = static_cast<double>(ones) / (0.5 * length * (length + 1.0));
  if (common.json) {
    fmt::print("{}\n", nlohmann::ordered_json({{"pattern", name_of(pattern)},
                                               {"length", length},
                                               {"ones", ones},
                                               {"of_dense", of_dense},
                                               {"picture", options.out},
                                               {"npy", options.npy}})
                           .dump());
  } else {
    fmt::print("{}: {} positions, {} ones, {:.3f} of causal dense\n", name_of(pattern), length, ones,
               of_dense);
  }
  return 0;
}

}  // namespace

Command masks_command() {
  return {"masks", "Draw an attention pattern: white where a query (down) sees a key (across)",
          "dalle1 masks --pattern row --text 6 --grid 4 --out row.png",
          [](CLI::App& app, CommonOptions& common) {
            auto options = std::make_shared<MaskOptions>();
            app.add_option("--pattern", options->pattern, "row, column, conv, dense, or a PNG or .npy file");
            app.add_option("--wrap", options->wrap, "What a convolution does at the borders of the grid")
                ->check(CLI::IsMember({"none", "raster", "rudalle-v2"}));
            app.add_option("--text", options->text, "Text positions")->check(CLI::Range(0, 4096));
            app.add_option("--grid", options->grid, "Side of the image grid")->check(CLI::Range(1, 128));
            app.add_option("--kernel", options->kernel, "Side of the convolution's window, odd")
                ->check(CLI::Range(1, 255));
            app.add_option("--out", options->out, "PNG to write");
            app.add_option("--npy", options->npy, "The same as uint8 [T, T] of 0 and 1");
            return [options, &common] { return masks(*options, common); };
          }};
}

}  // namespace dalle1::tools
