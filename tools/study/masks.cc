// dalle1 masks: attention patterns as pictures.
#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/attention/attention_pattern.h"
#include "core/data/npy.h"
#include "core/image/png.h"
#include "tools/program/command.h"
#include "tools/program/progress.h"
#include "tools/study/ablate_masks.h"
#include "tools/study/study.h"
#include "transformer/estimate.h"
#include "transformer/layer_entry.h"

namespace dalle1::tools {
namespace fs = std::filesystem;
namespace {

struct MaskOptions {
  std::string pattern = "row", wrap = "none", out, npy, study;
  int text = 256, grid = 32, kernel = 11;
};

AttentionPattern make_pattern(const MaskOptions& options) {
  const transformer::EntryPlace place = {options.text, options.grid, options.kernel, options.wrap};
  const bool file = fs::path(options.pattern).has_extension() && fs::exists(options.pattern);
  try {
    const AttentionPattern pattern = transformer::pattern_of_entry(
        file ? "table:" + options.pattern : options.pattern, place, options.text);
    validate(pattern);
    return pattern;
  } catch (const Error& error) {  // what is wrong with a name is wrong with the option
    fail(error.kind() == ErrorKind::model ? ErrorKind::usage : error.kind(), "--pattern: {}", error);
  }
}

// All variants' layers in one sheet, and the figures that need no training.
int study_masks(const MaskOptions& options, const CommonOptions& common) {
  check(!options.out.empty(), ErrorKind::usage, "give --out PNG: the sheet of all variants' layers");
  const Study study = read_study(options.study);
  std::vector<Image> sheets;
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const StudyVariant& variant : study.variants) {
    sheets.push_back(draw_layers(variant.name, variant.config));
    const auto estimate = transformer::estimate(variant.config, {});
    rows.push_back({{"variant", variant.name},
                    {"ones", ones_of(variant.config)},
                    {"cache_bytes", estimate.cache},
                    {"flops", std::llround(estimate.prefill_flops + estimate.image_flops)}});
  }
  write_png(options.out, stack(sheets));
  if (common.json) {
    fmt::print("{}\n", json_text({{"picture", options.out}, {"variants", rows}}, -1));
    return 0;
  }
  fmt::print("{:<32} {:>14} {:>14} {:>18}\n", "variant", "ones", "cache bytes", "FLOPs");
  for (const auto& row : rows) {
    fmt::print("{:<32} {:>14} {:>14} {:>18}\n", row["variant"].get<std::string>(),
               grouped(row["ones"].get<int64_t>()), grouped(row["cache_bytes"].get<int64_t>()),
               grouped(row["flops"].get<int64_t>()));
  }
  return 0;
}

int masks(const MaskOptions& options, const CommonOptions& common) {
  if (!options.study.empty()) return study_masks(options, common);
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
    fmt::print("{}\n", json_text(nlohmann::ordered_json({{"pattern", name_of(pattern)},
                                                         {"length", length},
                                                         {"ones", ones},
                                                         {"of_dense", of_dense},
                                                         {"picture", options.out},
                                                         {"npy", options.npy}}),
                                 -1));
  } else {
    fmt::print("{}: {} positions, {} ones, {:.3f} of causal dense\n", name_of(pattern), length, ones,
               of_dense);
  }
  return 0;
}

}  // namespace

Command masks_command() {
  return {
      "masks", "Draw an attention pattern: white where a query (down) sees a key (across)",
      "dalle1 masks --pattern row --text 6 --grid 4 --out row.png", [](CLI::App& app, CommonOptions& common) {
        auto options = std::make_shared<MaskOptions>();
        app.add_option("--pattern", options->pattern,
                       "row, column, conv[:KERNEL[:WRAP]], dense, random:SEED:PATTERN, or a PNG or .npy file")
            ->capture_default_str();
        app.add_option("--study", options->study, "A study: all variants' layers in one sheet");
        app.add_option("--wrap", options->wrap,
                       "What a convolution sees beyond the grid: none, raster or rudalle-v2")
            ->check(CLI::IsMember({"none", "raster", "rudalle-v2"}))
            ->capture_default_str();
        app.add_option("--text", options->text, "Text positions")
            ->check(CLI::Range(0, 4096))
            ->capture_default_str();
        app.add_option("--grid", options->grid, "Side of the image grid")
            ->check(CLI::Range(1, 128))
            ->capture_default_str();
        app.add_option("--kernel", options->kernel, "Side of the convolution's window, odd")
            ->check(CLI::Range(1, 255))
            ->capture_default_str();
        app.add_option("--out", options->out, "PNG to write");
        app.add_option("--npy", options->npy, "The same as uint8 [T, T] of 0 and 1");
        return [options, &common] { return masks(*options, common); };
      }};
}

}  // namespace dalle1::tools
