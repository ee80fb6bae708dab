#include "rerank/clip_scorer.h"

#include <algorithm>

#include "clip/preprocess.h"
#include "core/error.h"
#include "core/ops/argmax.h"

namespace dalle1::rerank {

ClipScorer::ClipScorer(std::shared_ptr<clip::Clip> clip, Device& device, const text::Tokenizer& tokenizer,
                       const std::string& prompt, bool truncate, int at_once)
    : clip_(std::move(clip)), device_(device), at_once_(at_once) {
  Context context(device_);
  text_ = clip_->encode_texts(context,
                              clip::tokenize(device_, clip_->config(), tokenizer, {&prompt, 1}, truncate));
  check(ops::all_finite(text_), ErrorKind::model,
        "CLIP's text features are not finite: its weights are broken");
}

std::vector<double> ClipScorer::score(const ScoringInput& input) {
  Context context(device_);
  const double scale = clip_->scale();
  std::vector<double> scores;
  for (size_t begin = 0; begin < input.pictures.size(); begin += static_cast<size_t>(at_once_)) {
    const size_t size = std::min(static_cast<size_t>(at_once_), input.pictures.size() - begin);
    const auto part = input.pictures.subspan(begin, size);
    std::vector<Image> pictures(part.begin(), part.end());
    if (!device_.is_cpu()) pictures.resize(static_cast<size_t>(at_once_), part.back());
    const auto pixels = clip::preprocess(device_, clip_->config(), pictures);
    const auto cosines = clip::cosines(clip_->encode_images(context, pixels), text_).to_floats();
    for (size_t i = 0; i < size; ++i) {
      scores.push_back(cosines[i]);
      scores.push_back(scale * cosines[i]);
    }
  }
  return scores;
}

}  // namespace dalle1::rerank
