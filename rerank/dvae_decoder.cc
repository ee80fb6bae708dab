#include "rerank/dvae_decoder.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/ops/kernels.h"

namespace dalle1::rerank {

std::vector<Image> pictures_of(const Tensor& images) {
  const auto batch = images.dim(0), height = images.dim(2), width = images.dim(3);
  const auto values = images.to_floats();
  const auto plane = static_cast<size_t>(height * width);
  std::vector<Image> pictures;
  for (int64_t b = 0; b < batch; ++b) {
    Image picture(static_cast<int>(width), static_cast<int>(height), 3);
    const float* own = values.data() + static_cast<size_t>(b) * 3 * plane;
    for (size_t p = 0; p < plane; ++p)
      for (size_t c = 0; c < 3; ++c)
        picture.pixels[p * 3 + c] =
            static_cast<uint8_t>(std::lround(std::clamp(own[c * plane + p], 0.0f, 1.0f) * 255.0f));
    pictures.push_back(std::move(picture));
  }
  return pictures;
}

Tensor tensor_of(Device& device, std::span<const Image> pictures) {
  const auto& first = pictures.front();
  const auto plane = static_cast<size_t>(first.width) * first.height;
  std::vector<float> values(pictures.size() * 3 * plane);
  for (size_t b = 0; b < pictures.size(); ++b) {
    check(pictures[b].width == first.width && pictures[b].height == first.height && pictures[b].channels == 3,
          ErrorKind::internal, "pictures of one batch differ in size");
    for (size_t p = 0; p < plane; ++p)
      for (size_t c = 0; c < 3; ++c)
        values[(b * 3 + c) * plane + p] = static_cast<float>(pictures[b].pixels[p * 3 + c]) / 255.0f;
  }
  return Tensor::from(device, Shape{static_cast<int64_t>(pictures.size()), 3, first.height, first.width},
                      std::span<const float>(values));
}

DvaeDecoder::DvaeDecoder(std::shared_ptr<dvae::Dvae> dvae, Device& device, int grid, int at_once)
    : dvae_(std::move(dvae)), device_(device), grid_(grid), at_once_(at_once) {}

std::vector<Image> DvaeDecoder::decode(std::span<const int32_t> tokens, int count) {
  const auto cells = static_cast<size_t>(grid_) * static_cast<size_t>(grid_);
  check(tokens.size() == cells * static_cast<size_t>(count), ErrorKind::internal,
        "{} tokens are not {} grids of {}", tokens.size(), count, cells);
  std::vector<Image> pictures;
  Context context(device_);
  for (int begin = 0; begin < count; begin += at_once_) {
    const int size = std::min(at_once_, count - begin);
    const auto part = tokens.subspan(static_cast<size_t>(begin) * cells, static_cast<size_t>(size) * cells);
    const std::vector<int64_t> indices(part.begin(), part.end());
    const auto codes = Tensor::from(device_, Shape{size, grid_, grid_}, std::span<const int64_t>(indices));
    const auto stats = dvae_->decode_stats(context, codes);
    check(device_.kernels().all_finite(stats), ErrorKind::model,
          "the dVAE's output is not finite: its weights are broken");
    for (auto& picture : pictures_of(dvae_->image_of(context, stats))) pictures.push_back(std::move(picture));
  }
  return pictures;
}

std::vector<int32_t> DvaeDecoder::encode(const Image& picture) {
  check(picture.width == encoded_size() && picture.height == encoded_size() && picture.channels == 3,
        ErrorKind::usage,
        "the dVAE encodes RGB pictures of {} x {} pixels, this one has {} x {} with {} channels",
        encoded_size(), encoded_size(), picture.width, picture.height, picture.channels);
  Context context(device_);
  const auto codes = dvae_->encode_indices(context, tensor_of(device_, {&picture, 1})).to_ints();
  return {codes.begin(), codes.end()};
}

}  // namespace dalle1::rerank
