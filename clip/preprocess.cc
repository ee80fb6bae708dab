#include "clip/preprocess.h"

#include <algorithm>

#include "core/image/resample.h"

namespace dalle1::clip {

Image fit_to_resolution(const Image& image, int64_t resolution) {
  return to_rgb(fit_square(image, static_cast<int>(resolution), filter_as_pillow(image, Filter::bicubic),
                           SideRounding::truncate));
}

Tensor normalise(Device& device, const ClipConfig& config, std::span<const Image> images) {
  const int64_t side = config.image_resolution, plane = side * side;
  std::vector<float> values(images.size() * 3 * plane);
  for (size_t i = 0; i < images.size(); ++i) {
    check(images[i].width == side && images[i].height == side && images[i].channels == 3, ErrorKind::internal,
          "normalise: a picture of {}x{}x{} for a resolution of {}", images[i].width, images[i].height,
          images[i].channels, side);
    for (int64_t p = 0; p < plane; ++p) {
      for (int64_t c = 0; c < 3; ++c) {
        const float value = static_cast<float>(images[i].pixels[p * 3 + c]) / 255.0f;
        values[(i * 3 + c) * plane + p] = (value - config.mean[c]) / config.deviation[c];
      }
    }
  }
  return Tensor::from(device, {static_cast<int64_t>(images.size()), 3, side, side}, values);
}

Tensor preprocess(Device& device, const ClipConfig& config, std::span<const Image> images) {
  std::vector<Image> fitted;
  for (const Image& image : images) fitted.push_back(fit_to_resolution(image, config.image_resolution));
  return normalise(device, config, fitted);
}

Tensor tokenize(Device& device, const ClipConfig& config, const text::Tokenizer& tokenizer,
                std::span<const std::string> texts, bool truncate) {
  text::SpecialIds special = tokenizer.special();
  special.pad = 0;
  std::vector<int64_t> ids;
  for (const std::string& text : texts) {
    const auto row = text::frame(tokenizer.encode(text), special, config.context_length,
                                 truncate ? text::Overflow::keep_eos : text::Overflow::refuse, "CLIP's text");
    ids.insert(ids.end(), row.begin(), row.end());
  }
  return Tensor::from(device, {static_cast<int64_t>(texts.size()), config.context_length}, ids);
}

Tensor without_padding(const Tensor& ids) {
  const std::vector<int64_t> values = ids.to_ints();
  const int64_t batch = ids.dim(0), length = ids.dim(1);
  int64_t used = 1;
  for (int64_t i = 0; i < batch * length; ++i) {
    if (values[i] != 0) used = std::max(used, i % length + 1);
  }
  used = std::min((used + 7) / 8 * 8, length);
  std::vector<int64_t> kept;
  for (int64_t b = 0; b < batch; ++b)
    kept.insert(kept.end(), values.begin() + b * length, values.begin() + b * length + used);
  return Tensor::from(ids.device(), {batch, used}, kept);
}

}  // namespace dalle1::clip
