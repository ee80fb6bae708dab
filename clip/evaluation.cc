#include "clip/evaluation.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "clip/features.h"
#include "clip/preprocess.h"
#include "core/ops/reduce.h"

namespace dalle1::clip {
namespace {

struct Share {
  int64_t right = 0, all = 0;
  void add(bool is_right) { right += is_right, ++all; }
  double value() const { return all > 0 ? static_cast<double>(right) / static_cast<double>(all) : 0.0; }
};

float dot(const float* a, const float* b, int64_t n) {
  float sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

std::vector<float> normalised(const Tensor& features) {
  Context context(features.device());
  return ops::l2_normalise(context, features).to_floats();
}

}  // namespace

std::vector<HeldOutPair> read_held_out(PairReader& reader, int64_t count, int64_t resolution) {
  const auto size = static_cast<int64_t>(reader.size());
  count = std::min(count, size);
  std::vector<HeldOutPair> pairs;
  for (int64_t i = 0; i < count; ++i) {
    std::optional<Sample> sample;
    for (int64_t at = i * size / count; !sample && at < (i + 1) * size / count; ++at)
      sample = reader.read(static_cast<uint64_t>(at));
    if (sample) pairs.push_back({fit_to_resolution(sample->image, resolution), sample->caption});
  }
  return pairs;
}

Evaluation::Evaluation(std::vector<HeldOutPair> pairs, const WordClasses& classes,
                       const std::vector<std::string>& ignored, int64_t group, uint64_t seed)
    : pairs_(std::move(pairs)), group_(static_cast<size_t>(group)) {
  for (size_t i = 0; i < pairs_.size(); ++i) {
    const std::string& caption = pairs_[i].caption;
    words_.emplace_back(caption, ignored);
    RandomStream random(seed, Stream::hard_negatives, static_cast<uint32_t>(i), UINT32_MAX);
    for (auto& miss : classes.every_near_miss(caption, random))
      near_misses_.push_back({i, miss.what, {caption, miss.caption}});
    for (auto& choice : classes.choices(caption)) {
      choice.captions[0] = caption;
      choices_.push_back({i, choice.what, std::move(choice.captions)});
    }
  }
}

// The rank of the right one is the number of others that score higher and do not agree with it.
void Evaluation::recall(const Tensor& images, const Tensor& captions, const std::vector<bool>& confused,
                        nlohmann::json& row) const {
  const auto image = normalised(images), caption = normalised(captions);
  const int64_t width = images.dim(1);
  Share text_1, text_5, hard, picture_1, picture_5;
  for (size_t begin = 0; begin + group_ <= pairs_.size(); begin += group_) {
    for (size_t i = begin; i < begin + group_; ++i) {
      const float own = dot(&image[i * width], &caption[i * width], width);
      int texts_above = 0, pictures_above = 0;
      for (size_t j = begin; j < begin + group_; ++j) {
        if (words_[i].agrees_with(words_[j])) continue;
        texts_above += dot(&image[i * width], &caption[j * width], width) >= own;
        pictures_above += dot(&image[j * width], &caption[i * width], width) >= own;
      }
      text_1.add(texts_above < 1), text_5.add(texts_above < 5);
      hard.add(texts_above < 1 && !confused[i]);
      picture_1.add(pictures_above < 1), picture_5.add(pictures_above < 5);
    }
  }
  row["recall_1"] = text_1.value();
  row["recall_5"] = text_5.value();
  if (!near_misses_.empty()) row["recall_1_hard"] = hard.value();
  row["picture_recall_1"] = picture_1.value();
  row["picture_recall_5"] = picture_5.value();
}

std::vector<bool> Evaluation::answer(const std::vector<Question>& questions, const std::string& name,
                                     const std::vector<float>& images, Clip& clip, Device& device,
                                     const text::Tokenizer& tokenizer, nlohmann::json& row) {
  if (questions.empty()) return {};
  std::unordered_map<std::string, size_t> places;  // each text is encoded once
  std::vector<std::string> texts;
  for (const Question& question : questions) {
    for (const auto& caption : question.captions) {
      if (places.emplace(caption, texts.size()).second) texts.push_back(caption);
    }
  }
  const auto features = normalised(text_features(clip, device, tokenizer, texts, /*truncate=*/true));
  const int64_t width = clip.config().embed_dim;
  std::map<std::string, Share> shares;
  std::vector<bool> answers;
  for (const Question& question : questions) {
    const float* image = &images[question.pair * width];
    auto score = [&](size_t i) {
      return dot(image, &features[places.at(question.captions[i]) * width], width);
    };
    bool right = true;
    for (size_t i = 1; i < question.captions.size(); ++i) right = right && score(0) > score(i);
    shares[name].add(right);
    shares[name + "_" + question.what].add(right);
    answers.push_back(right);
  }
  for (const auto& [key, share] : shares) row[key] = share.value();
  return answers;
}

nlohmann::json Evaluation::run(Clip& clip, Device& device, const text::Tokenizer& tokenizer) const {
  nlohmann::json row = nlohmann::json::object();
  if (pairs_.empty()) return row;
  std::vector<Image> pictures;
  std::vector<std::string> captions;
  for (const HeldOutPair& pair : pairs_) {
    pictures.push_back(pair.picture);
    captions.push_back(pair.caption);
  }
  const Tensor images = image_features(clip, device, pictures);
  const auto normal = normalised(images);
  const auto answers = answer(near_misses_, "near_miss", normal, clip, device, tokenizer, row);
  std::vector<bool> confused(pairs_.size());
  for (size_t i = 0; i < answers.size(); ++i)
    if (!answers[i]) confused[near_misses_[i].pair] = true;
  recall(images, text_features(clip, device, tokenizer, captions, /*truncate=*/true), confused, row);
  answer(choices_, "zero_shot", normal, clip, device, tokenizer, row);
  return row;
}

}  // namespace dalle1::clip
