#include "rerank/dvae_decoder.h"

#include <algorithm>
#include <iterator>

#include "core/error.h"
#include "core/ops/argmax.h"
#include "dvae/picture_batches.h"

namespace dalle1::rerank {

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
    const int rows = device_.is_cpu() ? size : at_once_;
    std::vector<int64_t> indices(part.begin(), part.end());
    while (indices.size() < cells * static_cast<size_t>(rows))
      indices.push_back(indices[indices.size() - cells]);
    const auto codes = Tensor::from(device_, Shape{rows, grid_, grid_}, std::span<const int64_t>(indices));
    const auto stats = dvae_->decode_stats(context, codes);
    check(ops::all_finite(stats), ErrorKind::model,
          "the dVAE's output is not finite: its weights are broken");
    auto decoded = dvae::images_of_tensor(dvae_->image_of(context, stats));
    std::move(decoded.begin(), decoded.begin() + size, std::back_inserter(pictures));
  }
  return pictures;
}

std::vector<int32_t> DvaeDecoder::encode(const Image& picture) {
  check(picture.width == encoded_size() && picture.height == encoded_size() && picture.channels == 3,
        ErrorKind::usage,
        "the dVAE encodes RGB pictures of {} x {} pixels, this one has {} x {} with {} channels",
        encoded_size(), encoded_size(), picture.width, picture.height, picture.channels);
  Context context(device_);
  const auto codes = dvae_->encode_indices(context, dvae::tensor_of_images(device_, {picture})).to_ints();
  return {codes.begin(), codes.end()};
}

}  // namespace dalle1::rerank
