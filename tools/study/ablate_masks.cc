#include "tools/study/ablate_masks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/image/sheet.h"
#include "tools/program/progress.h"
#include "transformer/estimate.h"

namespace dalle1::tools {
namespace {

constexpr int kPictureSide = 240;

std::string entry_name(const transformer::TransformerConfig& config, size_t layer,
                       const AttentionPattern& pattern) {
  if (pattern.kind != PatternKind::arbitrary) return name_of(pattern);
  const std::string& entry = config.schedule.list[layer];
  const size_t slash = entry.rfind('/');  // a table's file without its folders
  return slash == std::string::npos ? entry : "table:" + entry.substr(slash + 1);
}

}  // namespace

std::vector<PatternUse> patterns_of(const transformer::TransformerConfig& config) {
  std::vector<PatternUse> uses;
  const auto patterns = transformer::layer_patterns(config, config.text_length);
  for (size_t layer = 0; layer < patterns.size(); ++layer) {
    const auto same = std::find_if(uses.begin(), uses.end(),
                                   [&](const PatternUse& use) { return use.pattern == patterns[layer]; });
    if (same != uses.end()) {
      same->layers.push_back(static_cast<int32_t>(layer));
    } else {
      uses.push_back({patterns[layer],
                      entry_name(config, layer, patterns[layer]),
                      {static_cast<int32_t>(layer)},
                      count_ones(patterns[layer])});
    }
  }
  return uses;
}

std::string layer_list(const std::vector<int32_t>& layers) {
  std::string text;
  for (size_t begin = 0; begin < layers.size();) {
    size_t end = begin;
    while (end + 1 < layers.size() && layers[end + 1] == layers[end] + 1) ++end;
    text += text.empty() ? "" : ", ";
    text += fmt::format("{}", layers[begin] + 1);
    if (end > begin) text += fmt::format("-{}", layers[end] + 1);
    begin = end + 1;
  }
  return text;
}

Image picture_of(const AttentionPattern& pattern, int side) {
  const int32_t length = pattern.length();
  const auto bits = to_mask(pattern);
  const int pixels = std::min(side, length);
  Image image(pixels, pixels, 1);
  const auto edge = [&](int pixel) { return static_cast<int32_t>(int64_t{pixel} * length / pixels); };
  for (int y = 0; y < pixels; ++y) {
    for (int x = 0; x < pixels; ++x) {
      int64_t ones = 0;
      for (int32_t query = edge(y); query < edge(y + 1); ++query)
        for (int32_t key = edge(x); key < edge(x + 1); ++key) ones += bits[size_t(query) * length + key];
      const int64_t area = int64_t{edge(y + 1) - edge(y)} * (edge(x + 1) - edge(x));
      *image.at(x, y) = static_cast<uint8_t>(255 * ones / area);
    }
  }
  return image;
}

Image enlarged_picture_of(const AttentionPattern& pattern, int side) {
  const Image small = picture_of(pattern, side);
  const int scale = std::max(1, side / small.width);
  Image picture(small.width * scale, small.height * scale, 1);
  for (int y = 0; y < picture.height; ++y)
    for (int x = 0; x < picture.width; ++x) *picture.at(x, y) = *small.at(x / scale, y / scale);
  return picture;
}

int64_t ones_of(const transformer::TransformerConfig& config) {
  int64_t ones = 0;
  for (const PatternUse& use : patterns_of(config)) ones += use.ones * std::ssize(use.layers);
  return ones;
}

Image draw_layers(const std::string& name, const transformer::TransformerConfig& config) {
  const auto uses = patterns_of(config);
  const auto estimate = transformer::estimate(config, {});
  std::vector<SheetCell> cells(config.layers);
  int64_t ones = 0;
  for (const PatternUse& use : uses) {
    const Image picture = enlarged_picture_of(use.pattern, kPictureSide);
    for (int32_t layer : use.layers) {
      cells[layer] = {picture, fmt::format("{} {}", layer + 1, use.entry)};
      ones += use.ones;
    }
  }
  SheetOptions options;
  options.columns = config.layers;
  options.text_scale = 1;
  options.title = fmt::format("{}: {} ones, cache {} B, {} FLOPs", name, grouped(ones),
                              grouped(static_cast<int64_t>(estimate.cache)),
                              grouped(std::llround(estimate.prefill_flops + estimate.image_flops)));
  return draw_sheet(cells, options);
}

Image stack(const std::vector<Image>& sheets) {
  int width = 0, height = 0;
  for (const Image& sheet : sheets) {
    width = std::max(width, sheet.width);
    height += sheet.height;
  }
  check(height > 0 && height <= kMaxImageSide && width <= kMaxImageSide, ErrorKind::usage,
        "the sheet would have {}x{} pixels; draw fewer variants", width, height);
  Image all(width, height, 3, 255);
  int top = 0;
  for (const Image& sheet : sheets) {
    for (int y = 0; y < sheet.height; ++y) {
      const uint8_t* row = sheet.at(0, y);
      std::copy(row, row + sheet.row_bytes(), all.at(0, top + y));
    }
    top += sheet.height;
  }
  return all;
}

}  // namespace dalle1::tools
