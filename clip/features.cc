#include "clip/features.h"

#include <algorithm>

#include "clip/preprocess.h"
#include "core/ops/argmax.h"
#include "core/ops/movement.h"

namespace dalle1::clip {
namespace {

template <typename Item, typename Encode>
Tensor in_parts(Device& device, std::span<const Item> items, int64_t at_once, const Encode& encode) {
  std::vector<Tensor> parts;
  for (size_t begin = 0; begin < items.size(); begin += static_cast<size_t>(at_once))
    parts.push_back(encode(items.subspan(begin, std::min<size_t>(at_once, items.size() - begin))));
  Context context(device);
  const Tensor features = ops::concat(context, parts, 0);
  check(ops::all_finite(features), ErrorKind::model,
        "CLIP's features are not finite: its weights are broken");
  return features;
}

}  // namespace

Tensor image_features(Clip& clip, Device& device, std::span<const Image> pictures, int64_t at_once) {
  Context context(device);
  return in_parts(device, pictures, at_once, [&](std::span<const Image> part) {
    return clip.encode_images(context, preprocess(device, clip.config(), part));
  });
}

Tensor text_features(const Clip& clip, Device& device, const text::Tokenizer& tokenizer,
                     std::span<const std::string> texts, bool truncate, int64_t at_once) {
  Context context(device);
  return in_parts(device, texts, at_once, [&](std::span<const std::string> part) {
    return clip.encode_texts(context,
                             without_padding(tokenize(device, clip.config(), tokenizer, part, truncate)));
  });
}

}  // namespace dalle1::clip
